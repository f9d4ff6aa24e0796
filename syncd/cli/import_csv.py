"""`syncd import`: households and persons of one unit from a CSV.

Enters: a file as the README describes it. Leaves: rows written as any clerk's, a report per line. Must hold: a
household is imported whole or not at all; the same file again changes nothing; no value of a person is printed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from syncd.cli.output import emit, emit_json, plain
from syncd.cli.units import tell_problems
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, number, say


@verb(
    Both(
        "Nhập hộ và nhân khẩu của một đơn vị từ tệp CSV.\n\nMỗi hộ được nhập trọn vẹn hoặc không; dòng sai được báo "
        "theo dòng, cột, quy tắc; "
        "nhập lại cùng tệp không đổi gì.",
        "Import households and persons of one unit from a CSV file.\n\nA household is imported whole or not at all; "
        "problems are told by "
        "line, column and rule; the same file again changes nothing.",
    ),
    "syncd import --template > so_ho_khau.csv",
    "syncd import so_ho_khau.csv --dry-run",
    "syncd import so_ho_khau.csv",
    name="import",
)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@option(
    "--unit",
    "unit_code",
    metavar="CODE",
    vi="Mã đơn vị (mặc định: đơn vị của máy).",
    en="The unit's code (default: the node's own).",
)
@option("--template", is_flag=True, vi="In tệp mẫu.", en="Print a file to start from.")
@option("--dry-run", is_flag=True, vi="Chỉ kiểm tra, không ghi.", en="Only check, write nothing.")
@directory_option
@json_option
def command(
    file: Path | None, unit_code: str | None, template: bool, dry_run: bool, directory: Path | None, as_json: bool
) -> int:
    from random import Random

    from syncd.cli.place import opened_store
    from syncd.clock import system_clock
    from syncd.inputs.persons_csv import import_persons, preview_persons

    if template:
        emit(_template(), raw=True)
        return 0
    if file is None:
        raise click.UsageError(say("nêu một tệp hoặc --template", "give a file or --template"))
    with opened_store(directory) as store, _progress() as progress:
        unit_id = own_unit(store, unit_code)
        code, name = _target(store, unit_id, unit_code)
        if not as_json:
            emit(say("Nhập vào đơn vị {code} {name}", "Importing into unit {code} {name}", code=code, name=name))
        if dry_run:
            report = preview_persons(store, file, unit_id=unit_id, clock=system_clock, progress=progress)
        else:
            report = import_persons(
                store, file, unit_id=unit_id, clock=system_clock, random=Random(os.urandom(16)), progress=progress
            )
    if as_json:
        emit_json({"unit": {"code": code, "name": name}, **plain(report)})
    else:
        _tell(report, dry_run)
    return 1 if report.problems.errors else 0


def _template() -> str:
    from syncd.inputs.person_cells import template

    return template().replace("\r\n", "\n")


def own_unit(store: Any, code: str | None) -> str:
    """The id of the unit of that code kept here; without a code the node's own unit.

    Raises NotHereYet before the first exchange, PermissionDenied for a unit kept elsewhere, UsageError for none.
    """
    with store.read() as tx:
        own = str(tx.value("SELECT value FROM syncd_meta WHERE key = 'unit_id'"))
        _require_units(tx, own)
        column, wanted = ("CAST(u.id AS text)", own) if code is None else ("u.code", code)
        rows = tx.all(
            "SELECT u.id, u.code, u.name, k.mine, n.name FROM unit AS u LEFT JOIN syncd_keeper AS k ON k.unit_id = u.id"
            " LEFT JOIN (SELECT node_id, max(name) AS name FROM node GROUP BY node_id) AS n ON n.node_id = k.node_id"
            f" WHERE {column} = ?",
            (wanted,),
        )
    kept = [row for row in rows if row[3] == 1]
    if len(kept) == 1:
        return str(kept[0][0])
    raise _kept_elsewhere(rows[0]) if rows and not kept else _no_such_unit(wanted)


def _require_units(tx: Any, own: str) -> None:
    """Right after joining nothing has come down yet: the node does not even know that its unit is its own."""
    from syncd.errors import NotHereYet

    if (
        tx.value("SELECT 1 FROM syncd_keeper WHERE unit_id = ?", (own,)) is None
        or tx.value("SELECT 1 FROM unit LIMIT 1") is None
    ):
        raise NotHereYet(
            say(
                "danh mục và đơn vị hành chính chưa về máy này",
                "the code lists and the units have not arrived at this node yet",
            ),
            say(
                "chạy `[[syncd sync --once]]` hoặc `[[syncd run]]`, rồi làm lại",
                "run `[[syncd sync --once]]` or `[[syncd run]]`, then try again",
            ),
        )


def _kept_elsewhere(row: Any) -> Exception:
    from syncd.errors import PermissionDenied

    return PermissionDenied(
        say(
            "sổ của đơn vị {code} {name} do {keeper} giữ, không phải máy này",
            "the register of unit {code} {name} is kept by {keeper}, not by this node",
            code=row[1],
            name=row[2],
            keeper=row[4] or say("máy khác", "another node"),
        ),
        say("chạy lệnh này tại nơi giữ sổ", "run this command at the node that keeps it"),
    )


def _no_such_unit(code: str) -> Exception:
    from syncd.errors import UsageError

    return UsageError(
        say("máy này không giữ đơn vị nào mang mã {code}", "this node keeps no unit of code {code}", code=code),
        say(
            'nêu mã đơn vị khác (xem: [[syncd sql "SELECT code, name FROM unit"]]), hoặc bỏ --unit',
            'name another unit (see: [[syncd sql "SELECT code, name FROM unit"]]), or leave --unit out',
        ),
    )


def _target(store: Any, unit_id: str, asked: str | None) -> tuple[str, str]:
    """Code and name of the unit written to. A unit with units below it is meant only when it is asked for."""
    from syncd.errors import UsageError

    with store.read() as tx:
        rows = tx.all("SELECT code, name FROM unit WHERE id = ?", (unit_id,))
        below = tx.value("SELECT count(*) FROM unit WHERE parent_id = ? AND valid_to IS NULL", (unit_id,))
    code, name = rows[0] if rows else ("", unit_id)
    if asked is None and below:
        raise UsageError(
            say(
                "đơn vị của máy này, {code} {name}, có {n} đơn vị cấp dưới",
                "this node's own unit, {code} {name}, has {n} units below it",
                code=code,
                name=name,
                n=number(below),
            ),
            say(
                "nêu đơn vị có sổ này: --unit MÃ (chính đơn vị này: --unit {code})",
                "name the unit of these people: --unit CODE (this unit itself: --unit {code})",
                code=code,
            ),
        )
    return str(code), str(name)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(say("đang nhập", "importing"), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(report: Any, dry_run: bool) -> None:
    tell_problems(report.problems)
    if report.columns_unknown:
        emit(say("Cột không dùng: {names}", "Columns passed over: {names}", names=", ".join(report.columns_unknown)))
    emit(
        say(
            "Hộ: {added} mới, {changed} sửa, {same} như cũ, {refused} không nhập được.",
            "Households: {added} new, {changed} changed, {same} as before, {refused} refused.",
            added=number(report.households_added),
            changed=number(report.households_changed),
            same=number(report.households_same),
            refused=number(report.households_refused),
        )
    )
    emit(
        say(
            "Nhân khẩu: {added} mới, {changed} sửa, {same} như cũ.",
            "Persons: {added} new, {changed} changed, {same} as before.",
            added=number(report.persons_added),
            changed=number(report.persons_changed),
            same=number(report.persons_same),
        )
    )
    if dry_run:
        emit(say("Chỉ kiểm tra: chưa ghi gì.", "Checked only: nothing was written."))
