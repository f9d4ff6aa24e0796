"""Wishes: what this node wrote on a branch that is not the stream's, handed in again once the stream is back.

Enters: rows of `syncd_wish`. Leaves: proposals of this node about its own unit, decided like any other; what it had
said in streams of its own is said again.
Must hold: a wish leaves its table in the transaction that writes it down, so a crash makes none twice and loses none;
nothing that changed meanwhile is overwritten; a value for the custodian's eyes never enters a proposal, which others
read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from conflict.case import CaseKind
from schema.names import listed, quoted
from schema.spec import Audience, Kind, Registry, Table
from syncd import limits
from syncd.cases import open_case
from syncd.clock import Clock, instant_of
from syncd.errors import StoreError
from syncd.lift import decode, encode
from syncd.store.base import Store, Tx
from syncd.undecided import rows_of, takes_proposals

REASON = (
    "nhập trên bản sao, trên máy thứ hai, hoặc khi đơn vị vừa chuyển đi"
    " / typed on a restored copy, on a second machine, or while the unit passed on"
)
# Of a wish that cannot be written down now: for a row that is still to be decided, or that a person must look at.
HELD, KEPT = "held", "kept"
_NEXT = """
    SELECT w.wish_id, w.tab, w.row_id, w.op, w.seen, w.wished, w.made_ms, w.place, s.unit_id
    FROM syncd_wish AS w JOIN syncd_stream AS s ON s.stream_id = w.stream_id
    WHERE w.op <> 'kept' AND w.place > ? ORDER BY w.place LIMIT ?
"""
# Held for a row that is decided by another node: it never comes here, and nobody else is told the value.
_ELSEWHERE = """
    SELECT 1 FROM syncd_wish AS w JOIN syncd_stream AS s ON s.stream_id = w.stream_id
    JOIN syncd_keeper AS k ON k.unit_id = s.unit_id
    WHERE w.op = 'held' AND CAST(k.node_id AS text) <> (SELECT value FROM syncd_meta WHERE key = 'node_id') LIMIT 1
"""
_PROPOSED = (
    "id", "unit_id", "table_name", "row_id", "operation", "seen", "wished", "author", "reason", "made_at",
    "clock_offset_ms", "author_depth",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    id: str
    table: Table
    row_id: str
    op: str
    seen: Mapping[str, Any]
    wished: Mapping[str, Any]
    made_ms: int
    place: int
    unit_id: str | None

    def of(self, audience: Audience) -> _Wish:
        """The part of the wish that these readers may see."""
        names = {column.name for column in self.table.columns if (column.audience is audience)}
        return replace(
            self, seen={name: value for name, value in self.seen.items() if name in names},
            wished={name: value for name, value in self.wished.items() if name in names},
        )  # fmt: skip


def waiting(tx: Tx, registry: Registry) -> bool:
    """Whether there are wishes that can be written down."""
    if tx.one("SELECT 1 FROM syncd_wish WHERE op NOT IN ('held', 'kept') LIMIT 1") is not None:
        return True
    if tx.one(_ELSEWHERE) is not None:
        return True
    held = tx.all("SELECT tab, row_id FROM syncd_wish WHERE op = 'held' LIMIT ?", (limits.WISHES_AT_ONCE,))
    return any(
        tx.one(f"SELECT 1 FROM {registry.by_number[tab].name} WHERE id = ?", (row_id,)) is not None
        for tab, row_id in held
    )


def carry_out(store: Store, registry: Registry, me: str, clock: Clock) -> None:
    """Write down what was wished, a bounded number in one transaction."""
    place = -1
    while True:
        with store.write("wishes") as tx:
            found = _next(tx, registry, place)
            if not found:
                return
            proposals: list[_Wish] = []
            now = instant_of(clock())
            for wish in found:
                if wish.op == HELD:
                    _end_held(tx, wish, now)
                elif takes_proposals(wish.table):
                    proposals += _of_register(tx, wish, now)
                elif wish.table.kind is not Kind.REGISTER:
                    _say_again(tx, wish, me, now)
                else:
                    _forget(tx, wish)  # a verdict is given anew: its proposal waits again
            _propose(tx, registry, proposals)
        place = found[-1].place


def _next(tx: Tx, registry: Registry, place: int) -> list[_Wish]:
    found = []
    for wish_id, tab, row_id, op, seen, wished, made_ms, at_place, unit_id in tx.all(
        _NEXT, (place, limits.WISHES_AT_ONCE)
    ):
        table = registry.by_number[tab]
        found.append(_Wish(
            id=wish_id, table=table, row_id=row_id, op=op, seen=decode(table, seen), wished=decode(table, wished),
            made_ms=made_ms, place=at_place, unit_id=unit_id,
        ))  # fmt: skip
    return found


def _of_register(tx: Tx, wish: _Wish, now: str) -> list[_Wish]:
    """What is proposed; the values for the custodian alone wait until their row stands."""
    closed, shown = wish.of(Audience.CUSTODIAN), wish.of(Audience.SCOPE)
    if closed.wished:
        tx.run(
            "UPDATE syncd_wish SET op = ?, seen = ?, wished = ? WHERE wish_id = ?",
            (HELD, encode(closed.seen), encode(closed.wished), wish.id),
        )
        _end_held(tx, closed, now)
    else:
        _forget(tx, wish)
    return [shown] if shown.wished or wish.op == "delete" else []


def _end_held(tx: Tx, wish: _Wish, now: str) -> None:
    """Values for the custodian alone are written by themselves, where nobody has changed them meanwhile and the unit is
    kept here; else a person must look."""
    row = _row(tx, wish)
    if row is None and not _passed_on(tx, wish):
        return  # its insert is still to be decided
    if row is None or _is_disputed(wish, row) or not _is_kept_here(tx, wish):
        _keep_aside(tx, wish, now, is_elsewhere=int(row is None))
        return
    _update(tx, wish, wish.wished)
    _forget(tx, wish)


def _passed_on(tx: Tx, wish: _Wish) -> bool:
    """Whether another node decides about the row, which does not come here, and the value goes nowhere."""
    keeper = tx.value("SELECT node_id FROM syncd_keeper WHERE unit_id = ?", (wish.unit_id,))
    return keeper is not None and keeper != tx.value("SELECT value FROM syncd_meta WHERE key = 'node_id'")


def _is_kept_here(tx: Tx, wish: _Wish) -> bool:
    """Whether the row is still this node's to write: its unit may have passed on since."""
    return tx.one("SELECT 1 FROM syncd_keeper WHERE unit_id = ? AND mine = 1", (wish.unit_id,)) is not None


def _propose(tx: Tx, registry: Registry, proposals: Sequence[_Wish]) -> None:
    # A copy may have been taken between the two: then the proposal has come back with the streams.
    made = {row[0] for row in rows_of(tx, "SELECT id FROM proposal WHERE id {chosen}", [wish.id for wish in proposals])}
    proposals = [wish for wish in proposals if wish.id not in made]
    if not proposals:
        return
    facts: dict[str, str] = dict(tx.all("SELECT key, value FROM syncd_meta"))
    offset = 0
    if facts.get("parent_id"):
        offset = tx.value("SELECT clock_offset_ms FROM syncd_peer WHERE node_id = ?", (facts["parent_id"],))
    rows = [
        (
            wish.id, wish.unit_id, wish.table.name, wish.row_id, wish.op, encode(_seen(wish)), encode(wish.wished),
            facts.get("name", ""), REASON, instant_of(wish.made_ms), offset, int(facts.get("depth", "0")),
        )
        for wish in proposals
    ]  # fmt: skip
    table = registry.by_name["proposal"]
    types = [str(table.by_name[name].type) for name in _PROPOSED]
    tx.insert_columns(table, _PROPOSED, types, list(zip(*rows, strict=True)))


def _seen(wish: _Wish) -> Mapping[str, Any]:
    """Of an update, what its columns are decided together with."""
    if wish.op != "update":
        return wish.seen
    from syncd.decide import rules_of

    names = rules_of(wish.table).seen_columns(wish.wished)
    return {name: value for name, value in wish.seen.items() if name in names}


# --- what this node says in streams of its own --------------------------------------------------------------------


def _say_again(tx: Tx, wish: _Wish, me: str, now: str) -> None:
    tx.run("SAVEPOINT syncd_wish")
    try:
        is_done = _SAY[wish.op](tx, wish, me)
    except StoreError:
        tx.run("ROLLBACK TO SAVEPOINT syncd_wish")
        is_done = False
    tx.run("RELEASE SAVEPOINT syncd_wish")
    if is_done:
        _forget(tx, wish)
    else:
        _keep_aside(tx, wish, now)


def _keep_aside(tx: Tx, wish: _Wish, now: str, **more: int) -> None:
    """For a person: the case names the row, the values stay in this node's own table."""
    tx.run("UPDATE syncd_wish SET op = ? WHERE wish_id = ?", (KEPT, wish.id))
    open_case(
        tx, CaseKind.FORK, (wish.id,), opened_at=now, detail={"table": wish.table.name, "wished": wish.op, **more},
        unit_id=wish.unit_id, tab=wish.table.number, row_id=wish.row_id,
    )  # fmt: skip


def _insert(tx: Tx, wish: _Wish, me: str) -> bool:
    now = _row(tx, wish)
    if now is not None:
        return all(now[name] == value for name, value in wish.wished.items())
    if wish.table.name == "key_grant" and _is_granted(tx, wish, me):
        return True
    names = ("id", "unit_id", *wish.wished)
    marks = ", ".join("?" * len(names))
    tx.run(
        f"INSERT INTO {wish.table.sql} ({listed(names)}) VALUES ({marks})",
        (wish.row_id, wish.unit_id, *wish.wished.values()),
    )
    return True


def _is_granted(tx: Tx, wish: _Wish, me: str) -> bool:
    """Whether this node has granted that epoch's key already: two keys of one epoch would leave readers guessing."""
    same = ("stream_id", "audience", "epoch", "reader_id")
    rows = tx.all(
        f"SELECT id FROM key_grant WHERE {' AND '.join(f'{name} = ?' for name in same)}",
        tuple(wish.wished[name] for name in same),
    )
    return any(row[0][28:] == me[28:] for row in rows)


def _change(tx: Tx, wish: _Wish, _me: str) -> bool:
    now = _row(tx, wish)
    if now is None or _is_disputed(wish, now):
        return False
    _update(tx, wish, wish.wished)
    return True


def _is_disputed(wish: _Wish, now: Mapping[str, Any]) -> bool:
    """Whether somebody has changed what is wished for, to something else."""
    return any(now[name] not in (wish.seen.get(name), value) for name, value in wish.wished.items())


def _delete(tx: Tx, wish: _Wish, _me: str) -> bool:
    now = _row(tx, wish)
    if now is not None and now != wish.seen:
        return False
    tx.run(f"DELETE FROM {wish.table.sql} WHERE id = ?", (wish.row_id,))
    return True


_SAY: Mapping[str, Callable[[Tx, _Wish, str], bool]] = {"insert": _insert, "update": _change, "delete": _delete}


def _update(tx: Tx, wish: _Wish, values: Mapping[str, Any]) -> None:
    sets = ", ".join(f"{quoted(name)} = ?" for name in values)
    tx.run(f"UPDATE {wish.table.sql} SET {sets} WHERE id = ?", (*values.values(), wish.row_id))


def _row(tx: Tx, wish: _Wish) -> dict[str, Any] | None:
    names = [column.name for column in wish.table.columns]
    rows = tx.select_ids(wish.table, wish.unit_id, [wish.row_id], names)
    return dict(zip(names, rows[0], strict=True)) if rows else None


def _forget(tx: Tx, wish: _Wish) -> None:
    tx.run("DELETE FROM syncd_wish WHERE wish_id = ?", (wish.id,))
