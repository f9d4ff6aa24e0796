"""Writing a proposal: what this node saw of a row it does not keep, and what it wishes instead (design §1, I11).

Enters: a table, a row, wished values as a person typed them. Leaves: one row of `proposal`, captured like any write.
Must hold: `seen` is read from this node's own copy in the transaction that writes the proposal, whole groups at a time;
a row this node keeps itself is not proposed about, it is written; the same wish, while it is pending, is one proposal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schema.names import quoted
from schema.spec import Column, Kind, Table, Type
from syncd import limits
from syncd.clock import instant_of
from syncd.errors import UsageError
from syncd.inputs.problem import not_in_list
from syncd.language import Both, say
from syncd.store.base import Store, Tx
from syncd.store.patience import patiently
from syncd.text import titles
from syncd.undecided import takes_proposals

ID_CHARS = 36
_COLUMNS = (
    "unit_id", "table_name", "row_id", "operation", "seen", "wished", "author", "reason", "made_at", "clock_offset_ms",
    "author_depth", "expires_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to propose. `row_id`: None for an insert, which names the unit instead. `wished`: column → canonical
    value. `expires_at`: an instant by the reference clock, from which on it shall have no effect.
    """

    operation: str
    table: str
    row_id: str | None
    unit_code: str | None
    wished: Mapping[str, str | int | None]
    author: str | None
    reason: str
    expires_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """The proposal as written. `is_repeated`: it was pending already, nothing was written now.

    `proposal_id` is empty where a wish was only looked at, or `changes_nothing`: the row has these values already.
    """

    proposal_id: str
    unit_id: str
    unit_name: str
    keeper_name: str
    seen: Mapping[str, Any]
    wished: Mapping[str, Any]
    is_repeated: bool = False
    changes_nothing: bool = False


@patiently
def propose(store: Store, wish: Wish, now_ms: int) -> Proposed:
    """Write the proposal in one transaction. Raises UsageError where nothing can be proposed."""
    table = register_table(store, wish.table)
    with store.write("propose") as tx:
        return propose_in(tx, table, wish, now_ms)


def propose_in(tx: Tx, table: Table, wish: Wish, now_ms: int) -> Proposed:
    """The same within a transaction of the caller's."""
    tx.lock("propose")  # two processes with one wish must not both find it new
    proposer = Proposer(tx, now_ms)
    return proposer.write(proposer.prepare(table, wish))


def preview(store: Store, wish: Wish, now_ms: int) -> Proposed:
    """What `propose` would write now; writes nothing."""
    table = register_table(store, wish.table)
    with store.read() as tx:
        return Proposer(tx, now_ms).prepare(table, wish).proposed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A wish that can be written."""

    wish: Wish
    proposed: Proposed


class Proposer:
    """Proposals of one transaction: what all of them need is read once."""

    def __init__(self, tx: Tx, now_ms: int) -> None:
        from syncd.tree import load_tree

        self._tx = tx
        self._now_ms = now_ms
        self._now = instant_of(now_ms)
        self._tree = load_tree(tx)
        self._facts: dict[str, str] = dict(
            tx.all("SELECT key, value FROM syncd_meta WHERE key IN ('name', 'depth', 'parent_id')")
        )
        self._offset_ms = known_offset_ms(tx)
        self._units: dict[str, str] = {}
        self._prepared: set[tuple[str, ...]] = set()

    def prepare(self, table: Table, wish: Wish) -> Ready:
        """Check a wish and read what it is based on. Raises UsageError where nothing can be proposed."""
        _check_wish(table, wish)
        check_codes(self._tx, table, wish.wished)
        if wish.expires_at is not None and wish.expires_at <= self._now:
            raise UsageError(
                say("hạn của đề nghị đã qua", "the proposal would have expired already"),
                say("nêu một ngày sau hôm nay: --expires", "name a later day: --expires"),
            )
        unit_id = _unit_of_row(self._tx, table, wish) if wish.row_id else _unit_of_code(self._tx, wish.unit_code)
        keeper_name = self._require_other_keeper(unit_id, wish)
        seen = _seen(self._tx, table, unit_id, wish)
        key = (wish.operation, wish.table, wish.row_id or unit_id, json_of(seen), json_of(wish.wished))
        twin = self._pending(wish, unit_id, seen) or ("" if key in self._prepared else None)
        self._prepared.add(key)
        proposed = Proposed(
            proposal_id=twin or "", unit_id=unit_id, unit_name=self._unit_name(unit_id), keeper_name=keeper_name,
            seen=seen, wished=wish.wished, is_repeated=twin is not None,
            changes_nothing=twin is None and self._changes_nothing(wish, seen),
        )  # fmt: skip
        return Ready(wish=wish, proposed=proposed)

    def write(self, ready: Ready) -> Proposed:
        """Write it down, unless it is pending already."""
        wish, found = ready.wish, ready.proposed
        if found.is_repeated or found.changes_nothing:
            return found
        made_at = instant_of(self._now_ms)
        self._now_ms += 1  # of several about one row the last written is the newest
        values = (
            found.unit_id, wish.table, wish.row_id, wish.operation, json_of(found.seen), json_of(wish.wished),
            wish.author or self._facts.get("name", ""), wish.reason, made_at, self._offset_ms,
            int(self._facts.get("depth", "0")), wish.expires_at,
        )  # fmt: skip
        marks = ", ".join("?" * len(_COLUMNS))
        query = f"INSERT INTO proposal ({', '.join(_COLUMNS)}) VALUES ({marks}) RETURNING id"
        return Proposed(
            proposal_id=str(self._tx.value(query, values)), unit_id=found.unit_id, unit_name=found.unit_name,
            keeper_name=found.keeper_name, seen=found.seen, wished=found.wished,
        )  # fmt: skip

    def _pending(self, wish: Wish, unit_id: str, seen: Mapping[str, Any]) -> str | None:
        """The id of this node's own proposal that says the same and has no verdict yet."""
        place, value = ("p.row_id = ?", wish.row_id) if wish.row_id else ("p.row_id IS NULL AND p.unit_id = ?", unit_id)
        rows = self._tx.all(
            f"SELECT p.id, p.seen, p.wished FROM proposal AS p WHERE {place} AND p.table_name = ? AND p.operation = ?"
            " AND p.withdrawn_at IS NULL AND (p.expires_at IS NULL OR p.expires_at > ?)"
            " AND NOT EXISTS (SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id AND v.outcome <> 'referred')"
            " AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.proposal_id = p.id)"
            " ORDER BY p.id",
            (value, wish.table, wish.operation, self._now),
        )
        own = (row for row in rows if row[0][28:] == self._tree.me[28:])
        same = (row[0] for row in own if (_object(row[1]), _object(row[2])) == (dict(seen), dict(wish.wished)))
        return next(same, None)

    def _changes_nothing(self, wish: Wish, seen: Mapping[str, Any]) -> bool:
        """Whether the row has the wished values, and no other wish of this node's is pending that this one would take
        the place of."""
        if wish.operation != "update" or any(seen.get(name) != value for name, value in wish.wished.items()):
            return False
        pending = self._tx.all(
            "SELECT p.id FROM proposal AS p WHERE p.row_id = ? AND p.withdrawn_at IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id)",
            (wish.row_id,),
        )
        return not any(row[0][28:] == self._tree.me[28:] for row in pending)

    def _unit_name(self, unit_id: str) -> str:
        if unit_id not in self._units:
            self._units[unit_id] = str(self._tx.value("SELECT name FROM unit WHERE id = ?", (unit_id,)) or "")
        return self._units[unit_id]

    def _require_other_keeper(self, unit_id: str, wish: Wish) -> str:
        tree = self._tree
        keeper = tree.keepers.get(unit_id)
        if keeper is not None and keeper[0] in tree.nodes and not tree.is_within(keeper[0], tree.me):
            raise _passed_on(tree.nodes[keeper[0]].name)
        if keeper is None or not tree.is_within(keeper[0], tree.me):
            raise UsageError(
                say(
                    "chưa rõ nơi nào giữ đơn vị của bản ghi này",
                    "nobody below this node is known to keep this row's unit",
                ),
                say("chờ lần trao đổi tiếp theo rồi thử lại", "wait for the next exchange and try again"),
            )
        if keeper[0] == tree.me:
            raise UsageError(
                say("máy này giữ bản ghi: không cần đề nghị", "this node keeps the row itself: nothing to propose"),
                say(
                    'sửa trực tiếp: [[syncd sql "UPDATE {table} …"]]',
                    'write it: [[syncd sql "UPDATE {table} …"]]',
                    table=_typed(wish.table),
                ),
            )
        return tree.nodes[keeper[0]].name


def _passed_on(keeper_name: str) -> UsageError:
    return UsageError(
        say(
            "đơn vị này nay do {keeper} giữ; bản ghi ở đây là bản cũ, từ trước khi bàn giao",
            "this unit is kept by {keeper} now; the rows here are old, of before the hand-over",
            keeper=keeper_name,
        ),
        say(
            "báo cho {keeper} sửa tại đó (hoặc cấp trên chung gửi đề nghị)",
            "have {keeper} change it there (or the tier above both propose it)",
            keeper=keeper_name,
        ),
    )


def _typed(name: str) -> str:
    """A table's name as one types it within a statement in double quotes."""
    return quoted(name).replace('"', '\\"')


def known_offset_ms(tx: Tx) -> int | None:
    """How far this node's clock is ahead of the reference clock, as its last exchange measured it; the root's is 0."""
    parent = tx.value("SELECT value FROM syncd_meta WHERE key = 'parent_id'")
    if not parent:
        return 0
    found = tx.value("SELECT clock_offset_ms FROM syncd_peer WHERE node_id = ?", (parent,))
    return None if found is None else int(found)


def register_table(store: Store, name: str) -> Table:
    """The table of that name, if its rows have a keeper to whom one can propose."""
    table = store.registry.by_name.get(name)
    if table is None or not takes_proposals(table):
        names = [each.name for each in store.registry.of_kind(Kind.REGISTER) if takes_proposals(each)]
        raise UsageError(
            say("không có bảng {name} để đề nghị", "there is no table {name} to propose about", name=name),
            say("dùng một trong các bảng: {names}", "use one of: {names}", names=", ".join(names)),
        )
    return table


def parse_settings(table: Table, settings: tuple[str, ...]) -> dict[str, str | int | None]:
    """`column=value` texts as canonical values; an empty value means none."""
    if len(settings) > limits.PROPOSAL_SET_MAX:
        raise UsageError(
            say("quá nhiều --set", "too many --set options"),
            say("tối đa {n} cột một lần", "at most {n} columns at once", n=limits.PROPOSAL_SET_MAX),
        )
    return dict(_parse(table, setting) for setting in settings)


def _parse(table: Table, setting: str) -> tuple[str, str | int | None]:
    name, equals, text = setting.partition("=")
    if not equals:
        raise UsageError(
            say("--set …: thiếu dấu =", "--set …: the = is missing"),  # it may be a value: not repeated
            say("viết --set cột=giá_trị, không có dấu cách quanh dấu =", "write --set column=value, without blanks"),
        )
    column = titles.meant(table, name)
    if column is None or column.number < 2:
        names = ", ".join(each.name for each in table.columns)
        raise UsageError(
            say(
                "--set {text}: không có cột này trong bảng {table}",
                "--set {text}: no such column in table {table}",
                text=name,
                table=table.name,
            ),
            say("viết --set cột=giá_trị; các cột: {names}", "write --set column=value; columns: {names}", names=names),
        )
    return column.name, _canonical(column, text)


def _canonical(column: Column, text: str) -> str | int | None:
    import unicodedata

    value = unicodedata.normalize("NFC", text.strip())
    if not value:
        return None
    if (written := titles.kept(column, value)) is not None:
        return written
    if column.type is not Type.INT:
        return value
    try:
        return int(value)
    except ValueError as error:
        raise UsageError(
            say(
                "cột {name} cần một số nguyên",
                "column {name} takes a whole number",
                name=titles.column("", column.name),
            ),
            say("sửa --set {name}=…", "correct --set {name}=…", name=column.name),
        ) from error


def _check_wish(table: Table, wish: Wish) -> None:
    from schema.values import check_row, check_values

    if wish.operation == "delete":
        return
    problems = (check_row if wish.operation == "insert" else check_values)(table, dict(wish.wished))
    if not wish.wished or problems:
        said = "; ".join(
            f"{titles.column(table.name, problem.column)}: {Both(problem.rule_vi, problem.rule_en).here}"
            for problem in problems
        )
        raise UsageError(
            say("giá trị đề nghị không hợp lệ ({said})", "the wished values break a rule ({said})", said=said)
            if problems
            else say("chưa nêu cột nào", "no column was named"),
            say("sửa --set cột=giá_trị", "correct --set column=value"),
        )


def check_codes(tx: Tx, table: Table, values: Mapping[str, Any]) -> None:
    """Refuse a code that is not in its column's list, as `syncd import` does. While the list has not come down any code
    passes: it never blocks."""
    for name, value in sorted(values.items()):
        column = table.by_name.get(name)
        if column is None or column.code_list is None or value is None:
            continue
        codes = {row[0] for row in tx.all(_CODES, (column.code_list, column.code_list))}
        if codes and value not in codes:
            raise UsageError(
                say(
                    "{column}: {what}",
                    "{column}: {what}",
                    column=titles.column(table.name, name),
                    what=Both(*not_in_list(column.code_list)).here,
                ),
                say(
                    "các mã: [[syncd sql \"SELECT code, name FROM code WHERE list_name = '{list}'\"]]",
                    "the codes: [[syncd sql \"SELECT code, name FROM code WHERE list_name = '{list}'\"]]",
                    list=column.code_list,
                ),
            )


_CODES = """
    SELECT code FROM code WHERE list_name = ?
        AND version = (SELECT max(version) FROM code WHERE list_name = ?)
"""


def _unit_of_row(tx: Tx, table: Table, wish: Wish) -> str:
    row_id = wish.row_id or ""
    found = None
    if len(row_id) == ID_CHARS:
        found = tx.value(f"SELECT unit_id FROM {table.sql} WHERE id = ?", (row_id,))
    if found is None:
        raise UsageError(
            say(
                "bảng {table} ở máy này không có bản ghi {id}",
                "table {table} at this node has no row {id}",
                table=table.name,
                id=row_id[:ID_CHARS],
            ),
            say(
                'tìm mã bằng: [[syncd sql "SELECT id FROM {table} WHERE …"]]',
                'find the id with: [[syncd sql "SELECT id FROM {table} WHERE …"]]',
                table=_typed(table.name),
            ),
        )
    return str(found)


def _unit_of_code(tx: Tx, code: str | None) -> str:
    rows = tx.all(
        "SELECT u.id FROM unit AS u JOIN syncd_keeper AS k ON k.unit_id = u.id WHERE u.code = ? AND u.valid_to IS NULL",
        (code,),
    ) or tx.all("SELECT u.id FROM unit AS u JOIN syncd_keeper AS k ON k.unit_id = u.id WHERE u.code = ?", (code,))
    if len(rows) != 1:
        raise UsageError(
            say(
                "mã đơn vị {code}: có {n} đơn vị do máy cấp dưới giữ",
                "unit code {code}: {n} units kept by nodes below",
                code=code,
                n=len(rows),
            ),
            say(
                "nêu mã đơn vị bằng --unit (xem: [[syncd status]])",
                "name the unit's code with --unit (see: [[syncd status]])",
            ),
        )
    return str(rows[0][0])


def _seen(tx: Tx, table: Table, unit_id: str, wish: Wish) -> dict[str, Any]:
    """What this node's copy shows: of an update the whole groups of the wished columns, of a delete the whole row."""
    from syncd.decide import rules_of

    if wish.row_id is None:
        return {}
    names = [column.name for column in table.columns]
    if wish.operation == "update":
        names = list(rules_of(table).seen_columns(wish.wished))
    rows = tx.select_ids(table, unit_id, [wish.row_id], names)
    return dict(zip(names, rows[0], strict=True))


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def json_of(values: Mapping[str, Any]) -> str:
    """Column → value as stored: keys sorted, so that equal wishes are equal texts."""
    return json.dumps(dict(values), sort_keys=True, ensure_ascii=False)
