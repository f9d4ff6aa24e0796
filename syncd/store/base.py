"""What every stage knows of a database: transactions, snapshots and one way to write SQL.

Enters: SQL with `?` placeholders, canonical values (uuid, date and instant as text; bytes; int).
Leaves: tuples of canonical values, the same on SQLite and PostgreSQL.
Must hold: a write transaction is durable when its context leaves normally and has left nothing when it raises;
a read transaction sees one snapshot; foreign database errors are translated here and nowhere else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from schema.spec import Registry, Table
from syncd import limits
from syncd.errors import IdTaken, RuleBroken, StoreError
from syncd.language import Both, say

Row = tuple[Any, ...]
Columns = Sequence[Sequence[Any]]
Failpoint = Callable[[str], None]


def in_lists(values: Iterable[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Marks for an IN list and what stands for them, in as few lists as are bounded. They come in few lengths, filled
    up with the last value: each length is one more text that a connection keeps prepared."""
    left = list(values)
    for start in range(0, len(left), limits.LIST_VALUES_MAX):
        some = left[start : start + limits.LIST_VALUES_MAX]
        length = 1
        while length < len(some):
            length *= 4
        some += some[-1:] * (length - len(some))
        yield ", ".join("?" * length), some


def no_failpoint(_name: str) -> None:
    """Nothing fails here (production)."""


def nothing() -> None:
    """Nobody wants to know."""


def know(tables: Registry) -> None:
    """Have refusals named by these tables: those of the store last opened, the same in every store of a process."""
    _KNOWN[:] = [tables]


_KNOWN: list[Registry] = []


def known() -> Registry:
    """The tables of the store last opened; those of the release before any was."""
    from schema.tables import registry

    return _KNOWN[0] if _KNOWN else registry()


def not_unique(what: str) -> StoreError:
    """A unique index or constraint of an application's refuses a row."""
    return StoreError(
        say(
            "chỉ mục hoặc ràng buộc duy nhất {what}, không phải của syncd, không nhận một bản ghi",
            "a unique index or constraint that is not syncd's refuses a row: {what}",
            what=what,
        ),
        say(
            "bỏ nó đi (cần tra nhanh thì tạo chỉ mục không UNIQUE); việc đồng bộ tự đi tiếp",
            "remove it (for speed an index without UNIQUE serves); the stream goes on by itself",
        ),
    )


def id_taken(table: str) -> IdTaken:
    """A row is inserted whose id another row of its table bears."""
    return IdTaken(
        say("bảng {table} đã có bản ghi mang id này", "table {table} has a row of this id already", table=table),
        say("không có gì được ghi", "nothing was written"),
    )


def dangling() -> StoreError:
    """A key inside a unit leads nowhere when a transaction ends."""
    return StoreError(
        say(
            "một bản ghi chỉ tới bản ghi không có, hoặc bản ghi bị xóa còn được bản ghi khác chỉ tới",
            "a row refers to a row that does not exist, or other rows still refer to one that was deleted",
        ),
        say(
            "giao dịch này không ghi gì; trong cùng giao dịch hãy thêm bản ghi được chỉ tới, hoặc xóa bản ghi chỉ tới"
            " nó",
            "nothing of this transaction was written; in the same transaction insert the row that is referred to, or"
            " delete those that refer to it",
        ),
    )


def rule_broken(text: str) -> RuleBroken | None:
    """What a database's refusal of a row means to whoever wrote it, without the row; None for any other error."""
    if "constraint" not in text:
        return None
    from schema.values import broken_rule

    found = broken_rule(known(), text)
    if found is None:
        return None
    table, problem = found
    rule = Both(problem.rule_vi, problem.rule_en).here
    return RuleBroken(
        say(
            "bảng {table}, cột {column}: {rule}",
            "table {table}, column {column}: {rule}",
            table=table.name,
            column=problem.column,
            rule=rule,
        )
        if problem.column in table.by_name
        else say("bảng {table}: {rule}", "table {table}: {rule}", table=table.name, rule=rule),
        say(
            "giao dịch này không ghi gì; sửa giá trị rồi làm lại",
            "nothing of this transaction was written; correct the value and try again",
        ),
    )


class Tx(ABC):
    """An open transaction. Statements run in order; results are fetched before the next statement."""

    dialect: str

    @abstractmethod
    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement; returns the number of rows it touched."""

    @abstractmethod
    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Every row of a query whose result is small."""

    @abstractmethod
    def stream(self, sql: str, values: Sequence[Any] = (), rows_max: int = 5000) -> Iterator[list[Row]]:
        """A query of any size, in lists of at most `rows_max` rows."""

    @abstractmethod
    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """One statement for many rows; returns the number of rows touched."""

    @abstractmethod
    def insert_columns(self, table: Table, names: Sequence[str], types: Sequence[str], columns: Columns) -> int:
        """Insert n new rows given as columns."""

    @abstractmethod
    def update_columns(
        self,
        table: Table,
        unit_id: str | None,
        ids: Sequence[str],
        masks: Sequence[int],
        values: dict[str, Sequence[Any]],
    ) -> int:
        """Set, per row of one unit, the columns its mask names; `values` has one list of n per column of any mask.

        Returns the number of rows touched: fewer than n when a row is gone or belongs to another unit.
        """

    @abstractmethod
    def delete_ids(self, table: Table, unit_id: str | None, ids: Sequence[str], returning: Sequence[str]) -> list[Row]:
        """Delete rows of one unit by id; returns the `returning` columns of those that were there."""

    @abstractmethod
    def select_ids(self, table: Table, unit_id: str | None, ids: Sequence[str], names: Sequence[str]) -> list[Row]:
        """`names` of the rows of one unit whose id is in `ids`, in any order."""

    @abstractmethod
    def digest(self, sql: str, values: Sequence[Any], types: Sequence[str]) -> tuple[int, bytes]:
        """Number of rows and SHA-256 of a query's rows as PostgreSQL COPY text, in the query's order."""

    @abstractmethod
    def lock(self, name: str) -> None:
        """Wait for, and hold until the end of the transaction, the lock `name` (one applier per stream)."""

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row, or None."""
        rows = self.all(sql, values)
        return rows[0] if rows else None

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.one(sql, values)
        return row[0] if row else None


class Store(ABC):
    """A database of one node."""

    dialect: str
    registry: Registry
    failpoint: Failpoint = staticmethod(no_failpoint)
    is_asked_at_rest = False  # neighbours put questions while nothing is written: what they need stays at hand
    when_full: Callable[[], None] = staticmethod(nothing)  # called after the rollback of what found no space

    @abstractmethod
    def write(self, stage: str) -> AbstractContextManager[Tx]:
        """One write transaction, captured and guarded as any client's. `stage` names its failpoints."""

    @abstractmethod
    def apply(self, stage: str) -> AbstractContextManager[Tx]:
        """One write transaction of the daemon itself: triggers neither guard nor capture, foreign keys go unchecked."""

    @abstractmethod
    def read(self) -> AbstractContextManager[Tx]:
        """One read transaction: a single snapshot of committed content."""

    @abstractmethod
    def change_mark(self) -> int:
        """A number that differs after another connection has committed (cheap; polled for wake-up)."""

    @abstractmethod
    def schema_mark(self) -> str:
        """A value that differs after any program has changed tables or triggers (cheap)."""

    @abstractmethod
    def backlog(self) -> bool:
        """Whether committed journal rows wait to be sequenced."""

    @abstractmethod
    def relax(self) -> bool:
        """Give back memory and space that only a burst needed; called when the node falls quiet. Returns whether all of
        it was: else somebody still reads, and another call later gives back the rest."""
        return True

    def held_files(self) -> Mapping[str, tuple[int, int]]:
        """The files this store has open, path → (device, number); none where a server has them."""
        return {}

    def rescue(self, folder: Path) -> Path | None:
        """Write down what is still seen of a database whose files were taken away; None where a server has them."""
        return None

    def is_busy(self) -> bool:
        """Whether a write would have to wait for another thread of this process."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Close every connection."""
