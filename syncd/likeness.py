"""Which kept persons a wished insert may be: read once per wave, compared by name first (design §5).

Enters: a transaction, the inserts of a wave. Leaves: ids of kept rows that `conflict.match.resembles` finds alike.
Must hold: only persons of the unit whose birth year fits are read; a name is normalised once, however many inserts ask.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from conflict.match import normalise_name, resembles
from conflict.proposal import Proposal
from schema.names import quoted
from schema.spec import Table
from syncd.store.base import Tx

COLUMNS = ("id", "full_name", "birth_date", "birth_precision", "sex")
YEAR_CHARS = 4


class Likeness:
    """Kept persons by table, unit and normalised name, of the years asked for in `prepare`."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._known: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}

    def prepare(self, wished: Iterable[tuple[str, Table, Proposal]]) -> None:
        """Read what the inserts among these (unit, table, proposal) need; what an earlier wave read is read anew."""
        years: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for unit_id, table, proposal in wished:
            if _is_comparable(table, proposal):
                years[table.name, unit_id].add(str(proposal.wished["birth_date"])[:YEAR_CHARS])
        self._known = {place: self._read(*place, sorted(found)) for place, found in years.items()}

    def of(self, unit_id: str, table: Table, proposal: Proposal) -> tuple[str, ...]:
        """Ids of kept persons of the unit who may be the one an insert wishes."""
        if not _is_comparable(table, proposal):
            return ()
        name = normalise_name(str(proposal.wished["full_name"]))
        candidates = self._known[table.name, unit_id].get(name, [])
        return tuple(sorted(str(row["id"]) for row in candidates if resembles(proposal.wished, row)))

    def _read(self, table_name: str, unit_id: str, years: list[str]) -> dict[str, list[dict[str, Any]]]:
        spans = " OR ".join("birth_date BETWEEN ? AND ?" for _ in years)
        bounds = [f"{year}-{day}" for year in years for day in ("01-01", "12-31")]
        rows = self._tx.all(
            f"SELECT {', '.join(COLUMNS)} FROM {quoted(table_name)} WHERE unit_id = ? AND ({spans})", (unit_id, *bounds)
        )
        found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            found[normalise_name(row[1])].append(dict(zip(COLUMNS, row, strict=True)))
        return found


def _is_comparable(table: Table, proposal: Proposal) -> bool:
    """Whether it is an insert of a person with a name and a birth date."""
    if proposal.op != "insert" or not set(COLUMNS) <= table.by_name.keys():
        return False
    return None not in (proposal.wished.get("full_name"), proposal.wished.get("birth_date"))
