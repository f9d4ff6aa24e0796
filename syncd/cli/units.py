"""`syncd units import`: administrative units at the root; they come down to every node by themselves.

Enters: the official conversion of 2025 (CSV), a short list, or --demo. Leaves: units and successions, a report per
line.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd import limits
from syncd.cli.output import emit, emit_json
from syncd.cli.verb import Group, directory_option, json_option, option, verb
from syncd.language import Both, language, number, say

if TYPE_CHECKING:
    from syncd.inputs.problem import ProblemList


command = Group(
    name="units",
    words=Both("Đơn vị hành chính (tại máy gốc).", "Administrative units (at the root)."),
    examples=("syncd units import unit_changes_2025.csv --province 42",),
)


@verb(
    Both(
        "Nhập bảng chuyển đổi đơn vị hành chính, danh sách đơn vị đổi loại hình, hoặc danh sách kèm theo (--demo).\n\n"
        "Dòng sai được báo theo số dòng, phần còn lại được nhập, và lệnh kết thúc với mã 1; tệp đã sửa nhập lại thì "
        "sửa những gì khác và báo từng chỗ; nhập lần hai không đổi gì. Danh mục mã (dân tộc …) được nạp cùng lúc.",
        "Import the official conversion of units, a list of units that changed their kind, or the short list that "
        "ships with syncd (--demo).\n\nWrong lines are reported by number, the rest is imported, and the command ends "
        "with 1; a corrected file changes what differs and tells each change; a second import changes nothing. The "
        "code lists are loaded too.",
    ),
    "syncd units import unit_changes_2025.csv --province 42",
    "syncd units import --demo",
    name="import",
)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@option(
    "--demo",
    is_flag=True,
    vi="Dùng trích đoạn Hà Tĩnh kèm theo.",
    en="Use the extract of Hà Tĩnh that ships with syncd.",
)
@option(
    "--province",
    metavar="CODE",
    vi="Chỉ tỉnh mới mang mã này.",
    en="Only what went into the new province of this code.",
)
@option("--dry-run", is_flag=True, vi="Chỉ kiểm tra, không ghi.", en="Only check, write nothing.")
@directory_option
@json_option
def import_command(
    file: Path | None, demo: bool, province: str | None, dry_run: bool, directory: Path | None, as_json: bool
) -> int:
    from syncd.cli.place import opened_store

    if (file is None) == (not demo):
        raise click.UsageError(say("nêu một tệp hoặc --demo", "give a file or --demo"))
    with opened_store(directory) as store:
        if demo:
            done = load_demo(store)
            emit_json(done) if as_json else emit(
                say("{units} đơn vị, {codes} mã đã nạp.", "{units} units, {codes} codes loaded.", **done)
            )
            return 0
        report = _import(store, file or Path(), province, dry_run)
    emit_json(report) if as_json else _tell(report, dry_run)
    return 1 if report.problems.errors else 0


def load_demo(store: Any) -> dict[str, int]:
    """The units and code lists that ship with the package; returns how many were new.

    The units are those before the reform of 2025; here they stay valid, so that nodes can be enrolled for them.
    """
    from dataclasses import replace
    from random import Random

    from syncd.inputs.codes import load_codes, package_codes
    from syncd.inputs.units import demo_unit_rows, load_units
    from syncd.store.patience import again

    def load() -> dict[str, int]:
        with store.write("import") as tx:
            before = int(tx.value("SELECT count(*) FROM unit"))
            load_units(
                tx,
                [replace(row, valid_to=None) for row in demo_unit_rows()],
                time_ms=time.time_ns() // 1_000_000,
                random=Random(os.urandom(16)),
            )
            codes = load_codes(tx, package_codes())
            return {"units": int(tx.value("SELECT count(*) FROM unit")) - before, "codes": codes.added}

    return again(load)


def _import(store: Any, file: Path, province: str | None, dry_run: bool) -> Any:
    from random import Random

    from syncd.clock import system_clock
    from syncd.inputs.codes import load_codes, package_codes
    from syncd.inputs.open_text import open_text
    from syncd.inputs.units import import_units, preview_units
    from syncd.store.patience import again

    def load_lists() -> None:
        with store.write("import") as tx:
            load_codes(tx, package_codes())

    with open_text(file) as lines:
        take = preview_units if dry_run else import_units
        random = Random(os.urandom(16))
        report = take(store, lines, clock=system_clock, random=random, province=province, name=str(file))
    if dry_run:
        return report
    again(load_lists)
    return report


def _tell(report: Any, dry_run: bool) -> None:
    tell_problems(report.problems)
    _tell_corrected(report.corrected, dry_run)
    if report.is_conversion:
        _tell_conversion(report)
    words = (
        Both("Sẽ thêm {units} đơn vị, {changes} biến động; sẽ sửa {n} giá trị.",
             "Would add {units} units, {changes} successions; would correct {n} values.")
        if dry_run
        else Both("Đã thêm {units} đơn vị, {changes} biến động; đã sửa {n} giá trị.",
                  "Added {units} units, {changes} successions; corrected {n} values.")
    )  # fmt: skip
    n = len(report.corrected)
    emit(say(*words, units=number(report.units_added), changes=number(report.changes_added), n=number(n)))
    if not (report.units_added or report.changes_added or n):
        emit(say("Không có gì khác với dữ liệu đang có.", "Nothing differs from what is here."))


def _tell_corrected(corrected: Any, dry_run: bool) -> None:
    """One line for each value: nothing is corrected in silence."""
    if corrected:
        emit(say("Sẽ sửa:", "Would correct:") if dry_run else say("Đã sửa:", "Corrected:"))
    for each in corrected[: limits.CORRECTED_SHOWN_MAX]:
        emit(f"  {each.text(language())}")
    if len(corrected) > limits.CORRECTED_SHOWN_MAX:
        emit(say("  … và {n} dòng nữa", "  … and {n} more", n=number(len(corrected) - limits.CORRECTED_SHOWN_MAX)))


def _tell_conversion(report: Any) -> None:
    emit(
        say(
            "{lines} dòng: {new} xã mới từ {old} xã cũ ({districts} huyện cũ), {successions} kế thừa.",
            "{lines} lines: {new} new communes from {old} old ones ({districts} old districts), {successions} "
            "successions.",
            lines=number(report.lines),
            new=number(report.new_communes),
            old=number(report.old_communes),
            districts=number(report.old_districts),
            successions=number(report.successions),
        )
    )


def tell_problems(problems: ProblemList) -> None:
    """One line per problem, on stdout: it is part of the result."""
    for problem in problems.kept:
        emit(f"  {problem.text(language())}")
    hidden = problems.errors + problems.notes - len(problems.kept)
    if hidden > 0:
        emit(say("  … và {n} dòng nữa", "  … and {n} more", n=number(hidden)))
    if problems.errors or problems.notes:
        emit(
            say(
                "{errors} lỗi, {notes} lưu ý.",
                "{errors} errors, {notes} notes.",
                errors=number(problems.errors),
                notes=number(problems.notes),
            )
        )


command.add_command(import_command)
