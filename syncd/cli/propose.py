"""`syncd propose`: wish a change of a row that another node keeps.

Enters: a table, a row's id, what to set; or a file of wishes; or `list`, `withdraw ID`. Leaves: proposals; the keeper
decides and the verdicts come back.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncd.cli.output import cell, emit, emit_json, table
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, say
from syncd.text import titles

if TYPE_CHECKING:
    from schema.spec import Table
    from syncd.proposing import Proposed
    from syncd.store.base import Tx

OPERATIONS = ("insert", "update", "delete")
LIST, WITHDRAW, FILE = "list", "withdraw", "file"


@verb(
    Both(
        "Đề nghị sửa một bản ghi do máy khác giữ.\n\nTOÁN_TỬ là insert, update hoặc delete (có thể bỏ qua update). "
        "Giá trị đã thấy "
        "được lấy từ bản sao ở máy này; đơn vị giữ sổ quyết định, kết quả tự về lại.\n\n`propose list` liệt kê "
        "đề nghị, `propose withdraw MÃ` rút lại một đề nghị của máy này. Tệp CSV (--file): dòng đầu ghi các cột "
        "operation, table, row_id, unit, reason, expires, set; từ ô set trở đi mỗi ô một cột=giá_trị; mọi dòng được "
        "kiểm tra trước khi ghi.",
        "Propose a change of a row that another node keeps.\n\nThe words are [insert|update|delete] TABLE [ID]; "
        "update may be left "
        "out. What was seen is read from this node's copy; the keeper decides and the verdict comes back by itself."
        "\n\n`propose list` lists proposals, `propose withdraw ID` takes back one of this node's. A CSV (--file): its "
        "first line names the columns operation, table, row_id, unit, reason, expires, set; from the cell under set "
        "on, each cell holds column=value; every line is checked before the first is written.",
    ),
    "syncd propose person 0199b2c4-7d10-7c3a-8f21-6a51d0c3e9ab --set education=09 --reason 'theo học bạ'",
    "syncd propose person 0199b2c4-7d10-7c3a-8f21-6a51d0c3e9ab --delete --reason 'ghi hai lần'",
    "syncd propose person --insert --unit 18133 --set full_name='Lê Văn A' --set sex=1 …",
    "syncd propose --file de_nghi.csv --dry-run",
    "syncd propose withdraw 7c3a-8f21",
    "syncd propose list",
)
@click.argument("words", nargs=-1, metavar="[insert|update|delete] TABLE [ID] | list | withdraw ID")
@option(
    "--set",
    "settings",
    multiple=True,
    metavar="COLUMN=VALUE",
    vi="Giá trị mong muốn; để trống nghĩa là không có.",
    en="A wished value; nothing after = means no value.",
)
@option(
    "--insert",
    "is_insert",
    is_flag=True,
    vi="Đề nghị thêm bản ghi (cần --unit).",
    en="Propose a new row (needs --unit).",
)
@option("--delete", "is_delete", is_flag=True, vi="Đề nghị xóa bản ghi.", en="Propose to delete the row.")
@option("--unit", "unit_code", metavar="CODE", vi="Mã đơn vị của bản ghi mới.", en="The unit code of a new row.")
@option("--reason", default="", metavar="TEXT", vi="Lý do, cho đơn vị giữ sổ đọc.", en="Why, for the keeper to read.")
@option(
    "--author",
    default=None,
    metavar="NAME",
    vi="Người đề nghị (mặc định: tên máy).",
    en="Who proposes (default: the node's name).",
)
@option(
    "--expires",
    default=None,
    metavar="DAY",
    vi="Hạn: một ngày (2026-12-31, 31/12/2026) hoặc số ngày (30d); quá hạn thì không còn hiệu lực.",
    en="Until when: a day (2026-12-31, 31/12/2026) or a number of days (30d); later it has no effect.",
)
@option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    vi="Đề nghị hàng loạt từ tệp CSV.",
    en="Propose in bulk, from a CSV.",
)
@option("--dry-run", is_flag=True, vi="Chỉ kiểm tra, không ghi.", en="Only check, write nothing.")
@option("--all", "everything", is_flag=True, vi="list: cả những đề nghị đã xong.", en="list: the settled ones too.")
@directory_option
@json_option
def command(
    words: tuple[str, ...],
    settings: tuple[str, ...],
    is_insert: bool,
    is_delete: bool,
    unit_code: str | None,
    reason: str,
    author: str | None,
    expires: str | None,
    file: Path | None,
    dry_run: bool,
    everything: bool,
    directory: Path | None,
    as_json: bool,
) -> int:
    from syncd.cli import proposals
    from syncd.cli.place import opened_store

    now_ms = time.time_ns() // 1_000_000
    if words[:1] == (FILE,) and len(words) == 2:
        file, words = Path(words[1]), ()
    if file is not None:
        if words or settings:
            raise click.UsageError(say("--file đứng một mình", "--file stands alone"))
        with opened_store(directory) as store:
            return proposals.from_file(store, file, author, now_ms, dry_run, as_json)
    if words in ((LIST,), (WITHDRAW,)) or (words[:1] == (WITHDRAW,) and len(words) == 2):
        with opened_store(directory) as store:
            if words == (LIST,):
                return proposals.show(store, now_ms, everything, as_json)
            if len(words) == 2:
                return proposals.take_back(store, words[1], now_ms, as_json)
            raise click.UsageError(say("nêu mã của đề nghị", "name the proposal's id"))
    done, rows = _one(
        words, settings, is_insert, is_delete, unit_code, reason, author, expires, dry_run, directory, now_ms
    )
    if as_json:
        emit_json(done)
    else:
        _tell(done, rows, dry_run)
    return 0


def _one(
    words: tuple[str, ...],
    settings: tuple[str, ...],
    is_insert: bool,
    is_delete: bool,
    unit_code: str | None,
    reason: str,
    author: str | None,
    expires: str | None,
    dry_run: bool,
    directory: Path | None,
    now_ms: int,
) -> tuple[Proposed, list[list[str]]]:
    """One proposal, written or only looked at; its columns in words."""
    from syncd.cli.place import opened_store
    from syncd.expiry import expires_at
    from syncd.proposing import Wish, parse_settings, preview, propose, register_table

    operation, table_name, row_id = _sort(words, is_insert, is_delete, unit_code)
    with opened_store(directory) as store:
        described = register_table(store, table_name)
        wish = Wish(
            operation=operation,
            table=table_name,
            row_id=row_id,
            unit_code=unit_code,
            wished=parse_settings(described, settings),
            author=author,
            reason=reason,
            expires_at=None if expires is None else expires_at(expires, now_ms),
        )
        done = (preview if dry_run else propose)(store, wish, now_ms)
        with store.read() as tx:
            return done, _in_words(tx, described, done)


def _in_words(tx: Tx, of: Table, done: Proposed) -> list[list[str]]:
    """Column, value seen, value wished."""
    from syncd.disagreement_names import names_in

    names = names_in(tx, of, {name: {done.seen.get(name), value} for name, value in done.wished.items()})
    return [
        [titles.column(of.name, name), *(cell(names.get(name, {}).get(each, each)) for each in sides)]
        for name, value in sorted(done.wished.items())
        for sides in [(done.seen.get(name), value)]
    ]


def _tell(done: Proposed, rows: list[list[str]], dry_run: bool) -> None:
    if done.changes_nothing:
        emit(
            say(
                "Không thay đổi gì: bản ghi đã có đúng giá trị này. Chưa ghi đề nghị nào.",
                "Nothing changes: the row has these values already. No proposal was written.",
            )
        )
        return
    if done.is_repeated:
        emit(say("Đề nghị này đang chờ sẵn: {id}.", "This is pending already: {id}.", id=done.proposal_id))
    elif dry_run:
        emit(say("Chỉ kiểm tra: chưa ghi gì.", "Checked only: nothing was written."))
    else:
        emit(say("Đã ghi đề nghị {id}.", "Proposal {id} is written.", id=done.proposal_id))
    emit(
        say(
            "Đơn vị {unit}, do máy {keeper} giữ, sẽ quyết định.",
            "{unit}, kept by {keeper}, decides.",
            unit=done.unit_name,
            keeper=done.keeper_name,
        )
    )
    if done.proposal_id:
        emit(say("Xem: [[syncd conflicts show {id}]]", "See: [[syncd conflicts show {id}]]", id=done.proposal_id))
    if rows:
        emit(table([say("cột", "column"), say("đã thấy", "seen"), say("đề nghị", "wished")], rows, indent="  "))


def _sort(
    words: tuple[str, ...], is_insert: bool, is_delete: bool, unit_code: str | None
) -> tuple[str, str, str | None]:
    """Operation, table and row from the words, in either way of writing them."""
    if not words:
        raise click.UsageError(say("cần tên bảng và mã bản ghi", "name a table and a row's id"))
    rest = list(words)
    named = rest.pop(0) if rest[0] in OPERATIONS else None
    operation = "insert" if is_insert else "delete" if is_delete else named or "update"
    if (named is not None and named != operation) or (is_insert and is_delete):
        raise click.UsageError(
            say("hai thao tác khác nhau trong một đề nghị", "two different operations in one proposal")
        )
    if not rest or len(rest) > 2:
        raise click.UsageError(say("cần tên bảng và mã bản ghi", "name a table and a row's id"))
    row_id = rest[1] if len(rest) == 2 else None
    if operation == "insert" and unit_code is None:
        raise click.UsageError(say("đề nghị thêm cần --unit", "a new row needs --unit"))
    if operation != "insert" and row_id is None:
        raise click.UsageError(say("thiếu mã bản ghi", "the row's id is missing"))
    return operation, rest[0], None if operation == "insert" else row_id
