"""`syncd propose`: wish a change of a row that another node keeps.

Enters: a table, a row's id, what to set. Leaves: one proposal; the keeper decides and the verdict comes back.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from syncd.cli.output import cell, emit, emit_json, table
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, say

OPERATIONS = ("insert", "update", "delete")


@verb(
    Both(
        "Đề nghị sửa một bản ghi do nút khác giữ.\n\nTOÁN_TỬ là insert, update hoặc delete (có thể bỏ qua update). "
        "Giá trị đã thấy "
        "được lấy từ bản sao ở nút này; đơn vị giữ sổ quyết định, kết quả tự về lại.",
        "Propose a change of a row that another node keeps.\n\nThe words are [insert|update|delete] TABLE [ID]; "
        "update may be left "
        "out. What was seen is read from this node's copy; the keeper decides and the verdict comes back by itself.",
    ),
    "syncd propose person 0199b2c4-7d10-7c3a-8f21-6a51d0c3e9ab --set education=12 --reason 'theo học bạ'",
    "syncd propose person 0199b2c4-7d10-7c3a-8f21-6a51d0c3e9ab --delete --reason 'ghi hai lần'",
    "syncd propose person --insert --unit 18133 --set full_name='Lê Văn A' --set sex=1 …",
)
@click.argument("words", nargs=-1, required=True, metavar="[insert|update|delete] TABLE [ID]")
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
    vi="Người đề nghị (mặc định: tên nút).",
    en="Who proposes (default: the node's name).",
)
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
    directory: Path | None,
    as_json: bool,
) -> None:
    from syncd.cli.place import opened_store
    from syncd.proposing import Wish, parse_settings, propose, register_table

    operation, table_name, row_id = _sort(words, is_insert, is_delete, unit_code)
    with opened_store(directory) as store:
        wish = Wish(
            operation=operation,
            table=table_name,
            row_id=row_id,
            unit_code=unit_code,
            wished=parse_settings(register_table(store, table_name), settings),
            author=author,
            reason=reason,
        )
        done = propose(store, wish, time.time_ns() // 1_000_000)
    if as_json:
        emit_json(done)
        return
    emit(say("Đã ghi đề nghị {id}.", "Proposal {id} is written.", id=done.proposal_id))
    emit(
        say(
            "Đơn vị {unit}, do nút {keeper} giữ, sẽ quyết định. Xem: syncd conflicts show {id}",
            "{unit}, kept by {keeper}, decides. See: syncd conflicts show {id}",
            unit=done.unit_name,
            keeper=done.keeper_name,
            id=done.proposal_id,
        )
    )
    if done.wished:
        rows = [[name, cell(done.seen.get(name)), cell(value)] for name, value in sorted(done.wished.items())]
        emit(table([say("cột", "column"), say("đã thấy", "seen"), say("đề nghị", "wished")], rows, indent="  "))


def _sort(
    words: tuple[str, ...], is_insert: bool, is_delete: bool, unit_code: str | None
) -> tuple[str, str, str | None]:
    """Operation, table and row from the words, in either way of writing them."""
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
