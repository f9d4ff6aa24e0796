"""A recount of every database of a tree by plain SQL, which trusts nothing of ours: not one line of syncd is imported.

Enters: directories of nodes (`database.key` beside `syncd.db`, or a DSN in `syncd.toml`). Leaves: a line for each
difference between a unit's keeper and the tiers above it, between the root and the tiers below it, between records and
aggregates. Must hold: tables and columns are written down here by hand, so that a mistake in our own descriptions
cannot hide itself. `python tests/acceptance/recount.py DIR...` prints {"differences": [...], "rows": {...}}; exit 1
when any differs.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REGISTER = {
    "household": "number kind hamlet address enumeration_area collaborator opened_on closed_on",
    "person": "household_id line_no full_name sex birth_date birth_precision ethnic relation education marital"
    " residence mother_id father_id citizen_id insurance_no insurance_until phone",
    "birth": "child_id mother_id born_on sex parity place weight_g",
    "death": "person_id died_on sex cause",
    "migration": "person_id direction moved_on sex other_place match_id",
}
# What the root says to all below it.
SAID_TO_ALL = {"unit": "parent_id level code name valid_from valid_to", "code": "list_name version code name"}
CUSTODIAN_ONLY = {("death", "cause")}  # a tier between keeper and root holds NULL here
STOCK = "unit_id, sex, substr(CAST(birth_date AS text), 1, 7), ethnic, residence"
FLOWS = {
    "birth": "unit_id, substr(CAST(born_on AS text), 1, 7), 'birth', coalesce(sex, 0)",
    "death": "unit_id, substr(CAST(died_on AS text), 1, 7), 'death', coalesce(sex, 0)",
    "migration": "unit_id, substr(CAST(moved_on AS text), 1, 7), direction, coalesce(sex, 0)",
}

Rows = dict[str, tuple[str | None, ...]]
Query = Callable[[str], list[tuple[Any, ...]]]


@dataclass(slots=True, kw_only=True)
class Content:
    """What one database shows. `register`: unit → table → id → values."""

    node_id: str
    parent_id: str
    unit_id: str
    register: dict[str, dict[str, Rows]] = field(default_factory=dict)
    said: dict[str, Rows] = field(default_factory=dict)
    cells: list[str] = field(default_factory=list)


def read(directory: Path) -> Content:
    """Read one node's database in one transaction."""
    with opened(directory) as query:
        facts = {row[0]: row[1] for row in query("SELECT key, value FROM syncd_meta")}
        found = Content(node_id=facts["node_id"], parent_id=facts["parent_id"], unit_id=facts["unit_id"])
        for table, columns in REGISTER.items():
            for unit, row_id, *values in query(f"SELECT {_texts(f'unit_id id {columns}')} FROM {table}"):
                rows = found.register.setdefault(unit, {}).setdefault(table, {})
                if row_id in rows:
                    found.cells.append(f"{table} has the id {row_id} twice")
                rows[row_id] = tuple(values)
        for table, columns in SAID_TO_ALL.items():
            said = query(f"SELECT {_texts(f'id {columns}')} FROM {table} WHERE unit_id IS NULL")
            found.said[table] = {row[0]: tuple(row[1:]) for row in said}
        found.cells += _cell_differences(query)
    return found


def differences(directories: list[Path]) -> list[str]:
    """Every difference in a tree at rest; empty when it is equal everywhere it must be."""
    nodes = {content.node_id: content for content in map(read, directories)}
    root = next(content for content in nodes.values() if not content.parent_id)
    found = [f"{_name(content)}: {line}" for content in nodes.values() for line in content.cells]
    for content in nodes.values():
        found += [f"{_name(content)}: {table} differs from the root's" for table in SAID_TO_ALL
                  if content.said[table] != root.said[table]]  # fmt: skip
        above = nodes.get(content.parent_id)
        while above is not None:
            found += _unit_differences(content, above, is_root=above is root)
            above = nodes.get(above.parent_id)
    return found


@contextmanager
def opened(directory: Path) -> Iterator[Query]:
    """One read transaction on a node's database, with nothing but the drivers and the key file."""
    settings = directory / "syncd.toml"
    dsn = str(tomllib.loads(settings.read_text()).get("database", "sqlite")) if settings.exists() else "sqlite"
    connection = _sqlite(directory) if dsn == "sqlite" else _postgres(dsn)
    try:
        connection.execute("BEGIN" if dsn == "sqlite" else "BEGIN ISOLATION LEVEL REPEATABLE READ")
        yield lambda statement: list(connection.execute(statement).fetchall())
    finally:
        connection.close()


def _sqlite(directory: Path) -> Any:
    from sqlcipher3 import dbapi2

    connection = dbapi2.connect(str(directory / "syncd.db"), isolation_level=None)
    connection.execute(f"PRAGMA key = \"x'{(directory / 'database.key').read_bytes().hex()}'\"")
    connection.execute("PRAGMA busy_timeout = 10000")
    return connection


def _postgres(dsn: str) -> Any:
    import psycopg

    return psycopg.connect(dsn, autocommit=True)


def _texts(columns: str) -> str:
    return ", ".join(f"CAST({column} AS text)" for column in columns.split())


def _unit_differences(keeper: Content, above: Content, *, is_root: bool) -> Iterator[str]:
    """A unit's register as its keeper has it, and as a tier above shows it."""
    for table, columns in REGISTER.items():
        hidden = (
            ()
            if is_root
            else tuple(place for place, column in enumerate(columns.split()) if (table, column) in CUSTODIAN_ONLY)
        )
        wanted = {
            row_id: tuple(None if place in hidden else value for place, value in enumerate(values))
            for row_id, values in keeper.register.get(keeper.unit_id, {}).get(table, {}).items()
        }
        there = above.register.get(keeper.unit_id, {}).get(table, {})
        if there != wanted:
            changed = [row_id for row_id in there.keys() & wanted.keys() if there[row_id] != wanted[row_id]]
            yield (
                f"{table} of {_name(keeper)} at {_name(above)}: {len(wanted.keys() - there.keys())} lost, "
                f"{len(there.keys() - wanted.keys())} surplus, {len(changed)} with other values, first "
                f"{sorted((wanted.keys() ^ there.keys()) | set(changed))[:3]}"
            )


def _cell_differences(query: Query) -> list[str]:
    """Aggregates against a recount of the records."""
    flows = [f"SELECT {_all_texts(by)}, count(*) FROM {table} GROUP BY {_grouped(by)}" for table, by in FLOWS.items()]
    pairs = [
        (f"SELECT {_all_texts(STOCK)}, count(*) FROM person GROUP BY {STOCK}",
         f"SELECT {_texts('unit_id sex month ethnic residence')}, n FROM syncd_cell_stock", "stock"),
        (" UNION ALL ".join(flows), f"SELECT {_texts('unit_id month kind sex')}, n FROM syncd_cell_flow", "flow"),
    ]  # fmt: skip
    found = []
    for counted, cells, name in pairs:
        records, kept = Counter(query(counted)), Counter(query(cells))
        found += [f"{name} cell not kept: {cell}" for cell in (records - kept)]
        found += [f"{name} cell without records: {cell}" for cell in (kept - records)]
    return found


def _all_texts(by: str) -> str:
    return ", ".join(f"CAST({part} AS text)" for part in _parts(by))


def _grouped(by: str) -> str:
    """GROUP BY of an expression list; a constant is no grouping."""
    return ", ".join(part for part in _parts(by) if not part.startswith("'"))


def _parts(by: str) -> list[str]:
    """Split at the commas outside parentheses."""
    parts, depth = [""], 0
    for char in by:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def _counts(content: Content) -> dict[str, int]:
    """Rows per register table."""
    return {table: sum(len(unit.get(table, {})) for unit in content.register.values()) for table in REGISTER}


def _name(content: Content) -> str:
    return f"node {content.node_id[-8:]}"


def main(arguments: list[str]) -> int:
    """The command line: directories of nodes."""
    directories = [Path(each) for each in arguments]
    found = differences(directories)
    rows = {each.name: _counts(read(each)) for each in directories}
    ours = sorted({name.partition(".")[0] for name in sys.modules} & {"syncd", "schema", "conflict"})
    print(json.dumps({"differences": found, "rows": rows, "imported": ours}))
    return 1 if found or ours else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
