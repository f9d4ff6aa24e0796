"""Proposals in bulk from a CSV: every line is checked before the first is written.

Enters: a file. Its first line names the columns, in any order, but `set` comes last:

    operation   insert, update or delete; empty means update
    table       person, household, …
    row_id      the row's id; empty for an insert
    unit        the unit's code; for an insert
    reason      for the keeper to read
    expires     a day (YYYY-MM-DD or DD/MM/YYYY) or a number of days (30d); empty: never
    set         column=value; the cells after it may hold more of them; nothing after = means no value

`table` and `row_id` must be there, the others may be left out. Parted by commas, semicolons or tabs, UTF-8 (with
or without a mark at its beginning) or UTF-16 that says so.
Leaves: one proposal per line, or none and the problems by line and column.
Must hold: a problem never repeats a value; the same file again writes nothing while its proposals are pending.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from syncd import limits
from syncd.errors import UsageError
from syncd.expiry import expires_at
from syncd.inputs.cell import CellError
from syncd.inputs.cell_texts import refuse_garbled
from syncd.inputs.open_text import open_text
from syncd.inputs.problem import Problem, ProblemList
from syncd.inputs.sheet import Sheet
from syncd.inputs.text import clean
from syncd.language import say
from syncd.proposing import Proposed, Proposer, Ready, Wish, parse_settings, register_table
from syncd.store.base import Store
from syncd.store.patience import patiently

COLUMNS = ("operation", "table", "row_id", "unit", "reason", "expires", "set")
NEEDED = ("table", "row_id")
OPERATIONS = ("insert", "update", "delete")
HEADER = 1


@dataclass(slots=True, kw_only=True)
class Bulk:
    """What a file says. `proposed`: line → what was (or would be) written; empty when there is a problem."""

    lines: int = 0
    proposed: dict[int, Proposed] = field(default_factory=dict)
    problems: ProblemList = field(default_factory=ProblemList)

    @property
    def without_change(self) -> int:
        """How many lines wish what is so already."""
        return sum(each.changes_nothing for each in self.proposed.values())

    @property
    def repeated(self) -> int:
        """How many lines say what is pending already."""
        return sum(each.is_repeated for each in self.proposed.values())


@patiently
def propose_file(store: Store, path: Path, author: str | None, now_ms: int) -> Bulk:
    """Write every proposal of a file in one transaction, or none. Raises UsageError for a file that is no such CSV."""
    bulk = Bulk()
    wishes = list(_wishes(store, path, author, now_ms, bulk))
    with store.write("propose") as tx:
        tx.lock("propose")
        proposer = Proposer(tx, now_ms)
        ready = _prepare(store, proposer, wishes, bulk)
        if not bulk.problems.errors:
            bulk.proposed = {line: proposer.write(each) for line, each in ready.items()}
    return bulk


@patiently
def preview_file(store: Store, path: Path, author: str | None, now_ms: int) -> Bulk:
    """What `propose_file` would write now; writes nothing."""
    bulk = Bulk()
    wishes = list(_wishes(store, path, author, now_ms, bulk))
    with store.read() as tx:
        ready = _prepare(store, Proposer(tx, now_ms), wishes, bulk)
    if not bulk.problems.errors:
        bulk.proposed = {line: each.proposed for line, each in ready.items()}
    return bulk


def _prepare(store: Store, proposer: Proposer, wishes: Sequence[tuple[int, Wish]], bulk: Bulk) -> dict[int, Ready]:
    ready: dict[int, Ready] = {}
    for line, wish in wishes:
        try:
            ready[line] = proposer.prepare(register_table(store, wish.table), wish)
        except UsageError as error:
            bulk.problems.add(_problem(line, "row_id" if wish.row_id else "unit", error))
    return ready


def _wishes(store: Store, path: Path, author: str | None, now_ms: int, bulk: Bulk) -> Iterator[tuple[int, Wish]]:
    for line, cells, settings in _lines(path):
        bulk.lines += 1
        column = "table"
        try:
            table = register_table(store, cells["table"])
            column = "operation"
            operation = _operation(cells)
            column = "expires"
            end = expires_at(cells["expires"], now_ms) if cells["expires"] else None
            column = "set"
            wished = parse_settings(table, settings)
            for value in wished.values():
                if isinstance(value, str):
                    refuse_garbled(value)
        except UsageError as error:
            bulk.problems.add(_problem(line, column, error))
            continue
        except CellError as error:
            bulk.problems.add(
                Problem(line=line, column=column, rule=error.rule, text_vi=error.text_vi, text_en=error.text_en)
            )
            continue
        yield line, Wish(
            operation=operation, table=table.name, row_id=cells["row_id"].lower() or None,
            unit_code=cells["unit"] or None, wished=wished, author=author, reason=cells["reason"], expires_at=end,
        )  # fmt: skip


def _operation(cells: dict[str, str]) -> str:
    """The operation, with what it needs. Raises UsageError."""
    operation = cells["operation"].lower() or "update"
    if operation not in OPERATIONS:
        raise UsageError(
            say("thao tác không hợp lệ", "no such operation"),
            say("dùng insert, update hoặc delete", "use insert, update or delete"),
        )
    if operation == "insert" and (cells["row_id"] or not cells["unit"]):
        raise UsageError(
            say("đề nghị thêm cần mã đơn vị, không có mã bản ghi", "a new row has a unit and no row_id"),
            say("điền cột unit, để trống row_id", "fill in unit, leave row_id empty"),
        )
    if operation != "insert" and not cells["row_id"]:
        raise UsageError(
            say("thiếu mã bản ghi", "the row's id is missing"), say("điền cột row_id", "fill in the column row_id")
        )
    return operation


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str], tuple[str, ...]]]:
    """(line, cells by column, column=value texts). Raises UsageError for a file that is no such CSV."""
    if path.stat().st_size > limits.WISHES_BYTES_MAX:
        raise _no_file(say("tệp quá lớn", "the file is too large"))
    with open_text(path) as lines:
        sheet = Sheet(str(path), lines, titles_in)
        names = [clean(name).lower() for name in sheet.titles]
        _check_header(names)
        for count, row in enumerate(sheet.rows()):
            if count >= limits.WISHES_LINES_MAX:
                raise _no_file(say("tệp có quá nhiều dòng", "the file has too many lines"))
            yield row.line, *_cells(names, row.cells)


def titles_in(cells: Sequence[str]) -> int:
    """How many columns of proposals a row names."""
    return len(set(COLUMNS) & {clean(cell).lower() for cell in cells})


def _cells(names: Sequence[str], row: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The named cells, and whatever stands under `set` and behind it."""
    fixed = names[: names.index("set")] if "set" in names else names
    cells = dict.fromkeys(COLUMNS, "") | {name: cell.strip() for name, cell in zip(fixed, row, strict=False)}
    return cells, tuple(cell for cell in row[len(fixed) :] if cell.strip())


def _check_header(names: Sequence[str]) -> None:
    named = [name for name in names if name]
    is_last = "set" not in named or named[-1] == "set"
    if not set(NEEDED) <= set(named) <= set(COLUMNS) or len(set(named)) != len(named) or not is_last:
        raise _no_file(say("dòng đầu không đúng các cột", "the first line does not name the columns"))


def _no_file(what: str) -> UsageError:
    return UsageError(
        what,
        say(
            "các cột: {names} (set đứng cuối; tối đa {n} dòng)",
            "the columns: {names} (set comes last; at most {n} lines)",
            names=", ".join(COLUMNS),
            n=limits.WISHES_LINES_MAX,
        ),
    )


def _problem(line: int, column: str, error: UsageError) -> Problem:
    english = error.english
    return Problem(line=line, column=column, rule="proposal", text_vi=str(error), text_en=english)
