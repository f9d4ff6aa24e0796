"""The proposals that wait for this node's decision, and in what order they can be decided together (design §1, I11).

Enters: a transaction of a keeper. Leaves: `Waiting`, oldest first, and waves of them that do not touch each other.
Must hold: a proposal waits where its unit is kept. Where its row went to another unit of that keeper, the addressed
unit's stream refers to that: whoever keeps it next leaves the wish alone, and it waits where the row is. A verdict of
another unit's stream does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from conflict.match import normalise_name
from conflict.proposal import Newer
from schema.names import literal
from schema.spec import Kind, Registry, Table
from syncd.derived import LATE, stem
from syncd.protocol.decoding import json_object
from syncd.store.base import Row, Tx, in_lists

SECOND_CHARS = 19  # of an instant: YYYY-MM-DDTHH:MM:SS
REFERRED = "referred"  # the outcome in the stream of the unit that a wish names, where its row went to another unit
_MINE = "SELECT unit_id FROM syncd_keeper WHERE mine = 1"
_COLUMNS = (
    "p.id, p.unit_id, p.table_name, p.row_id, p.operation, p.seen, p.wished, p.author, p.reason, p.made_at,"
    " p.clock_offset_ms, p.author_depth, p.withdrawn_at, p.expires_at"
)
# A verdict counts in the stream of the unit the proposal names (decided before the row moved), of one kept here, and
# wherever this node gave it: the unit may have passed on since. What this node referred to another unit it decides
# itself, as long as it keeps the addressed one.
_MY_TAG = "SELECT substr(value, 29) FROM syncd_meta WHERE key = 'node_id'"
_UNDECIDED = f"""NOT EXISTS (SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id AND v.outcome <> '{REFERRED}'
    AND (v.unit_id = p.unit_id OR v.unit_id IN ({_MINE}) OR substr(CAST(v.id AS text), 29) = ({_MY_TAG})))"""
_IS_REFERRED = f"""EXISTS (SELECT 1 FROM verdict AS w WHERE w.proposal_id = p.id AND w.outcome = '{REFERRED}'
    AND w.unit_id = p.unit_id AND (substr(CAST(w.id AS text), 29) <> ({_MY_TAG}) OR p.unit_id NOT IN ({_MINE})))"""
_ADDRESSED = f"""SELECT p.id, p.made_at, p.table_name FROM proposal AS p WHERE p.unit_id IN ({_MINE}) AND {_UNDECIDED}
    AND NOT {_IS_REFERRED}"""
# CROSS: from the few wishes referred to their rows; without it SQLite begins with every row kept here.
_FOLLOWING = f"""SELECT p.id, p.made_at, p.table_name FROM proposal AS p CROSS JOIN {{sql}} AS r
    WHERE p.table_name = {{text}} AND p.withdrawn_at IS NULL AND p.unit_id IS NOT NULL AND {_IS_REFERRED}
    AND r.id = p.row_id AND r.unit_id IN ({_MINE}) AND {_UNDECIDED}"""
_THESE = f"SELECT {_COLUMNS} FROM proposal AS p WHERE {_UNDECIDED} AND p.id {{chosen}}"
_ABOUT_ROWS = f"""SELECT p.id, p.table_name, p.row_id, p.operation, p.wished, p.author, p.made_at FROM proposal AS p
    WHERE p.made_at >= ? AND p.withdrawn_at IS NULL AND {_UNDECIDED} AND p.row_id {{chosen}}"""

# Of a second and later: what was made before any of the batch takes the place of nothing, and of rows that are wished
# about again and again all the rest of their history is decided. A second, since a fraction sorts before the Z.
_WISHED_TWICE = "SELECT row_id FROM proposal WHERE made_at >= ? AND row_id {chosen} GROUP BY row_id HAVING count(*) > 1"
_DECIDED_ABOUT = f"""SELECT p.id, p.table_name, p.operation, p.wished FROM proposal AS p
    WHERE NOT ({_UNDECIDED}) AND p.row_id {{chosen}} ORDER BY p.id"""
# A row wished under an id of who kept the unit then, inserted under one of who decided: later wishes name the first.
# In the stream of the unit that both wishes name: no other keeper says which row a wish is about.
_KEPT_AS = """SELECT p.unit_id, p.row_id, v.row_id FROM proposal AS p
    JOIN verdict AS v ON v.proposal_id = p.id AND v.unit_id = p.unit_id
    WHERE p.operation = 'insert' AND v.outcome = 'accepted' AND v.row_id <> p.row_id AND p.row_id {chosen}
    ORDER BY v.decided_at, v.id"""
_ANY_REFERRAL = f"SELECT 1 FROM verdict WHERE outcome = '{REFERRED}' LIMIT 1"
_REFERRALS = f"""SELECT v.proposal_id, v.id, EXISTS (SELECT 1 FROM syncd_journal AS j WHERE j.row_id = v.id)
    FROM verdict AS v JOIN proposal AS p ON p.id = v.proposal_id AND p.unit_id = v.unit_id
    WHERE v.outcome = '{REFERRED}' AND v.proposal_id {{chosen}} ORDER BY v.id"""


class Waiting(msgspec.Struct, frozen=True):  # thousands are made at once
    """One proposal as stored. `seen` and `wished` are JSON texts. `row_id`: the row as it is kept; `named_id`: as the
    proposal names it."""

    id: str
    unit_id: str
    table: str
    row_id: str | None
    operation: str
    seen: str
    wished: str
    author: str
    reason: str
    made_at: str
    clock_offset_ms: int | None
    author_depth: int
    withdrawn_at: str | None
    expires_at: str | None
    named_id: str | None

    @property
    def author_tag(self) -> str:
        """The tag of the node it was made at."""
        return self.id[28:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """A verdict that refers a wish to the unit its row is in; whether it is in the log."""

    id: str
    is_sealed: bool


def undecided(tx: Tx, registry: Registry) -> list[str]:
    """Ids of the proposals that wait here, oldest first; of one moment those about households before persons, so that
    a new row finds the new row it names.
    """
    sources = [_ADDRESSED]
    if tx.one(_ANY_REFERRAL) is not None:
        tables = _tables_kept(tx, registry)
        sources += [_FOLLOWING.format(sql=table.sql, text=literal(table.name)) for table in tables]
    numbers = {table.name: table.number for table in registry}
    rows = tx.all(" UNION ALL ".join(sources))
    return [row[0] for row in sorted(rows, key=lambda row: (row[1], numbers.get(row[2], 0), row[0]))]


def waiting(tx: Tx, proposal_ids: Sequence[str]) -> list[Waiting]:
    """Those of these proposals that wait still, in this order, each with the row it is about as it is kept."""
    found = {row[0]: row for row in rows_of(tx, _THESE, proposal_ids)}
    rows = (found[proposal_id] for proposal_id in proposal_ids if proposal_id in found)
    batch = [Waiting(*(*row, row[3])) for row in rows]
    named = sorted({each.row_id for each in batch if each.row_id is not None and each.operation != "insert"})
    kept_as = {(row[0], row[1]): row[2] for row in rows_of(tx, _KEPT_AS, named)}
    if not kept_as:  # as a rule: new rows get their ids where they are kept
        return batch
    return [replace(each, row_id=kept_as.get((each.unit_id, each.row_id), each.row_id)) for each in batch]


def deciding_unit(proposed: Waiting, row_unit: str | None, mine: frozenset[str]) -> str | None:
    """The unit in whose stream this node decides, or None where another keeper does.

    `row_unit`: where the row is now; None when it is not here (deleted, or an insert). What was withdrawn
    follows no row.
    """
    if row_unit is not None and proposed.withdrawn_at is None:
        return row_unit if row_unit in mine else None
    return proposed.unit_id if proposed.unit_id in mine else None


def newer_wishes(tx: Tx, batch: Sequence[Waiting]) -> dict[str, list[Newer]]:
    """Proposal → later ones of the same author about the same row, oldest first: they supersede it.

    People of one name at two nodes are two authors.
    """
    kept_as = {str(each.named_id): str(each.row_id) for each in batch if each.row_id is not None}
    by_key: dict[tuple[str, str, str, str], list[Row]] = {}
    rows_named = sorted({*kept_as, *kept_as.values()})
    since = (min((each.made_at for each in batch), default="")[:SECOND_CHARS],)
    several = sorted({row[0] for row in rows_of(tx, _WISHED_TWICE, rows_named, since)})
    if any(named != row_id for named, row_id in kept_as.items()):  # wishes about one row may bear two names of it
        several = rows_named
    for row in rows_of(tx, _ABOUT_ROWS, several, since):
        row_id = kept_as[row[2]] if row[2] in kept_as else row[2]
        by_key.setdefault((row[0][28:], row[5], row[1], row_id), []).append(row)
    found: dict[str, list[Newer]] = {}
    for rows in by_key.values():
        rows.sort(key=lambda row: (row[6], row[0]))
        for place, row in enumerate(rows[:-1]):
            found[row[0]] = [_newer(later) for later in rows[place + 1 :]]
    return found


def twins_decided(tx: Tx, wave: Sequence[Waiting]) -> dict[str, str]:
    """Proposals made of a late write that another node has made one of as well, which is decided → that one."""
    late = {stem(each.id): each for each in wave if each.reason.startswith(LATE)}
    row_ids = sorted({each.named_id for each in late.values() if each.named_id is not None})
    found = {}
    for proposal_id, table, operation, wished in rows_of(tx, _DECIDED_ABOUT, row_ids):
        each = late.get(stem(proposal_id))
        if each is not None and (each.table, each.operation, each.wished) == (table, operation, wished):
            found[each.id] = proposal_id
    return found


def referrals(tx: Tx, batch: Sequence[Waiting]) -> dict[str, Referral]:
    """Proposal → the verdict that refers it to the unit its row is in."""
    if tx.one(_ANY_REFERRAL) is None:  # as a rule
        return {}
    rows = rows_of(tx, _REFERRALS, sorted(each.id for each in batch))
    return {row[0]: Referral(id=row[1], is_sealed=not row[2]) for row in rows}


def waves(batch: Iterable[Waiting]) -> list[list[Waiting]]:
    """Proposals in waves: in one wave no two speak of one row, or insert persons of one name into one unit.

    Each wave sees what the ones before it have written.
    """
    found: list[list[Waiting]] = []
    depth: dict[tuple[str, ...], int] = {}
    for each in batch:
        name = _name(each.wished) if each.operation == "insert" else ""
        key = (each.table, each.unit_id, name) if name else (each.table, each.row_id or each.id)
        place = depth.get(key, 0)
        depth[key] = place + 1
        if place == len(found):
            found.append([])
        found[place].append(each)
    return found


def rows_of(tx: Tx, query: str, row_ids: Sequence[str], values: Sequence[Any] = ()) -> Iterator[Row]:
    """Rows of a query whose `{chosen}` compares an id with `row_ids`; they come in as few statements as can be."""
    if tx.dialect != "sqlite":
        if row_ids:
            yield from tx.all(query.format(chosen="= ANY(?::uuid[])"), (*values, list(row_ids)))
        return
    for marks, some in in_lists(row_ids):
        yield from tx.all(query.format(chosen=f"IN ({marks})"), (*values, *some))


def takes_proposals(table: Table | None) -> bool:
    """Whether rows of a table have a keeper to whom one can propose."""
    return table is not None and table.kind is Kind.REGISTER and table.name != "verdict"


def _tables_kept(tx: Tx, registry: Registry) -> list[Table]:
    """Tables with rows in units kept here: elsewhere nothing can have followed its row here."""
    return [
        table
        for table in registry
        if takes_proposals(table) and tx.one(f"SELECT 1 FROM {table.sql} WHERE unit_id IN ({_MINE}) LIMIT 1")
    ]


def _newer(row: Row) -> Newer:
    return Newer(id=row[0], op=row[3], columns=frozenset(json_object(row[4])))


def _name(wished: str) -> str:
    """What an insert could resemble another by."""
    name = json_object(wished).get("full_name")
    return normalise_name(name) if isinstance(name, str) else ""
