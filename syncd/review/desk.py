"""One command's decisions: who may decide here, and how a person's word is written or handed on.

Enters: a write transaction, the tree, who decides. Leaves: changed rows of units kept here, proposals to the keepers of
others. Must hold: whoever may not decide is told who does; what was there before is kept beside what was written,
except values for the custodian's eyes alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schema.names import listed, quoted
from schema.spec import Audience, Kind, Registry, Table
from schema.values import check_values
from syncd.clock import instant_of
from syncd.errors import PermissionDenied, UsageError
from syncd.language import Both, say
from syncd.proposing import Wish, check_codes, propose_in
from syncd.review.verbs import Verb
from syncd.store.base import Tx
from syncd.text import titles
from syncd.tree import Tree

RandomBytes = Callable[[int], bytes]
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person says: the verdict, with what it needs. `settings`: column=value texts; `row`: which of the rows it
    speaks of, by a part of its id; `other`: the row it belongs together with."""

    verb: Verb
    author: str
    reason: str = ""
    settings: tuple[str, ...] = ()
    row: str | None = None
    other: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every verdict needs."""

    tx: Tx
    registry: Registry
    tree: Tree
    now_ms: int
    random_bytes: RandomBytes

    @property
    def now(self) -> str:
        return instant_of(self.now_ms)

    def keeps(self, unit_id: str | None) -> bool:
        """Whether this node keeps a unit's register."""
        query = "SELECT 1 FROM syncd_keeper WHERE unit_id = ? AND mine = 1"
        return unit_id is not None and self.tx.one(query, (unit_id,)) is not None

    def keeper_name(self, unit_id: str | None) -> str:
        """Who keeps a unit's register, by name."""
        node_id = self.tree.keepers.get(unit_id or "", ("", 0))[0]
        record = self.tree.nodes.get(node_id)
        return record.name if record is not None else say("nơi giữ sổ", "the keeper")

    def require_keeper(self, unit_id: str | None) -> None:
        """Refuse where another node decides, naming it."""
        if not self.keeps(unit_id):
            raise PermissionDenied(
                say(
                    "máy {keeper} giữ sổ này, nên quyết định ở đó",
                    "this register is kept by {keeper}: the decision is made there",
                    keeper=self.keeper_name(unit_id),
                ),
                say(
                    "nhờ {keeper} chạy chính lệnh này; muốn giá trị khác thì gửi thêm: [[syncd propose BẢNG MÃ"
                    " --set CỘT=GIÁ_TRỊ]]",
                    "ask {keeper} to give this very command; to wish another value: [[syncd propose TABLE ID"
                    " --set COLUMN=VALUE]]",
                    keeper=self.keeper_name(unit_id),
                ),
            )

    def row(self, table: Table, row_id: str) -> dict[str, Any] | None:
        """A row as kept, without what is for the custodian's eyes alone; None when it is gone."""
        names = [column.name for column in table.all_columns if column.audience is Audience.SCOPE]
        found = self.tx.one(f"SELECT {listed(names)} FROM {table.sql} WHERE id = ?", (row_id,))
        return None if found is None else dict(zip(names, found, strict=True))

    def require_row(self, table: Table, row_id: str) -> dict[str, Any]:
        """The same; refuses when it is gone."""
        found = self.row(table, row_id)
        if found is None:
            raise UsageError(
                say("bản ghi {id} không còn", "row {id} is gone", id=row_id),
                say("xem: [[syncd conflicts list --all]]", "see: [[syncd conflicts list --all]]"),
            )
        return found

    def update(self, table: Table, row_id: str, values: Values) -> None:
        """Write values of a row kept here."""
        problems = check_values(table, dict(values))
        if problems:
            said = "; ".join(
                f"{titles.column(table.name, each.column)}: {Both(each.rule_vi, each.rule_en).here}"
                for each in problems
            )
            raise UsageError(
                say("giá trị không hợp lệ ({said})", "the values break a rule ({said})", said=said),
                say("sửa phần CỘT=GIÁ_TRỊ", "correct COLUMN=VALUE"),
            )
        check_codes(self.tx, table, values)
        if values:
            sets = ", ".join(f"{quoted(name)} = ?" for name in values)
            self.tx.run(f"UPDATE {table.sql} SET {sets} WHERE id = ?", (*values.values(), row_id))

    def insert(self, table: Table, unit_id: str, values: Values) -> str:
        """A new row in a unit kept here; its id."""
        given = {name: value for name, value in values.items() if name != "unit_id"}
        names = ("unit_id", *given)
        marks = ", ".join("?" * len(names))
        query = f"INSERT INTO {table.sql} ({listed(names)}) VALUES ({marks}) RETURNING id"
        return str(self.tx.value(query, (unit_id, *given.values())))

    def delete(self, table: Table, row_id: str) -> None:
        """Delete a row kept here, unless another refers to it."""
        for other in self.registry.of_kind(Kind.REGISTER):
            for column in other.columns:
                if column.references == table.name and self.tx.one(
                    f"SELECT 1 FROM {other.sql} WHERE {column.sql} = ? LIMIT 1", (row_id,)
                ):
                    raise UsageError(
                        say(
                            "còn bản ghi bảng {table} nói đến bản ghi này",
                            "rows of {table} still refer to this one",
                            table=other.name,
                        ),
                        say("sửa các bản ghi đó trước", "correct those rows first"),
                    )
        self.tx.run(f"DELETE FROM {table.sql} WHERE id = ?", (row_id,))

    def propose(self, table: Table, row_id: str, values: Values | None, asked: Asked) -> str:
        """Wish another keeper's row changed; deleted where `values` is None. The proposal's id."""
        wish = Wish(
            operation="delete" if values is None else "update", table=table.name, row_id=row_id, unit_code=None,
            wished=dict(values or {}), author=asked.author, reason=asked.reason,
        )  # fmt: skip
        done = propose_in(self.tx, table, wish, self.now_ms)
        if done.changes_nothing:
            raise UsageError(
                say("bản ghi {id} đã có đúng giá trị này", "row {id} has these values already", id=row_id),
                say("nêu giá trị khác, hoặc quyết định khác", "name another value, or another verdict"),
            )
        return done.proposal_id


def canonical(plain: Mapping[str, Any]) -> str:
    """JSON text, the same for the same content."""
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def refuse(what: str, then: str) -> UsageError:
    """What cannot be decided so."""
    return UsageError(what, then)
