"""`syncd verify [--full]`: prove that this node's content is what the keepers stated.

Enters: a node's directory. Leaves: a checkpoint of what this node itself keeps, and what is equal, different, or open.
Exit: 0 equal, 1 something differs, 75 something cannot be proven at this position yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncd.cli.output import BOLD, DIM, GREEN, RED, YELLOW, emit, emit_json, paint, plain, shorten, table
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, number, say

if TYPE_CHECKING:
    from syncd.prove import StreamProof

ABOUT_CELLS_MAX = 34


@verb(
    Both(
        "Đối soát: nội dung ở máy này có khớp với nơi giữ sổ không.\n\nLập điểm đối soát cho sổ của chính máy này, rồi "
        "so các điểm đối soát đã nhận. "
        "--full đọc lại mọi bản ghi và đếm lại các ô số liệu thay vì tin kết quả cũ. "
        "Mã thoát: 0 khớp, 1 lệch, 75 chưa đủ điểm đối soát để kết luận.",
        "Prove that the content here is what the keepers stated.\n\nWrites a checkpoint of what this node keeps and "
        "compares those received. "
        "--full reads every row again, and recounts the figures, instead of trusting earlier results. "
        "Exit: 0 equal, 1 different, 75 not "
        "provable yet.",
    ),
    "syncd verify",
    "syncd verify --full --json",
)
@option("--full", is_flag=True, vi="Đọc lại mọi bản ghi.", en="Read every row again.")
@directory_option
@json_option
def command(full: bool, directory: Path | None, as_json: bool) -> int:
    from syncd.cli.place import node_directory
    from syncd.node_files import open_node

    opened = open_node(node_directory(directory))
    try:
        asked = ask_checkpoint(opened.node)
        return _full(opened, asked, as_json) if full else _recorded(opened, asked, as_json)
    finally:
        opened.close()


def ask_checkpoint(node: Any) -> int:
    """A checkpoint behind every own stream, now; returns how many were written. A running daemon may be quicker."""
    from syncd.errors import ForkError
    from syncd.limits import CHECKPOINT_ATTEMPTS_MAX

    for _ in range(CHECKPOINT_ATTEMPTS_MAX):
        try:
            node.write()
            return int(node.checkpoint())
        except ForkError:
            continue  # the daemon has just written to the same stream: what it wrote is read anew
    return 0


def _full(opened: Any, asked: int, as_json: bool) -> int:
    from syncd.prove import exit_code, prove
    from syncd.recovery import cells
    from syncd.recovery.proven import against_logs
    from syncd.store.patience import again

    def look() -> Any:
        with opened.store.read() as tx:
            proofs = against_logs(tx, opened.node, prove(tx, opened.store.registry, opened.node.ring))
            return proofs, cells.differences(tx, opened.store.registry)

    proofs, miscounted = again(look)
    code = 1 if miscounted else exit_code(proofs)
    if as_json:
        emit_json({"equal": code == 0, "exit_code": code, "checkpoints_written": asked, "streams": plain(proofs),
                   "cells": plain(miscounted)})  # fmt: skip
        return code
    emit(proofs_text(proofs))
    for each in miscounted:
        emit(paint(cells_words(each), RED))
    if code == 1:
        emit(say("Sửa: [[syncd repair]]", "To put right: [[syncd repair]]"))
    return code


def cells_words(each: Any) -> str:
    """One measure of a unit that a recount finds different."""
    return say(
        "Số liệu {measure} của {unit}: {cells} ô lệch; các ô ghi {counted}, đếm bản ghi được {records}",
        "Figures of {unit}, {measure}: {cells} cells differ; they say {counted}, the records {records}",
        unit=each.unit,
        measure=each.measure,
        counted=number(each.counted),
        records=number(each.records),
        cells=number(each.cells),
    )


def _recorded(opened: Any, asked: int, as_json: bool) -> int:
    from syncd.status import status

    with opened.store.read() as tx:
        checks = status(tx).checks
    code = 1 if checks.different else 0
    if as_json:
        emit_json({"equal": code == 0, "exit_code": code, "checkpoints_written": asked, "checks": plain(checks)})
        return code
    emit(say("Điểm đối soát vừa lập: {n}", "Checkpoints written now: {n}", n=number(asked)))
    emit(
        say(
            "Điểm đối soát đã nhận: khớp {equal}, lệch {different}",
            "Checkpoints received: match {equal}, differ {different}",
            equal=number(checks.equal),
            different=number(checks.different),
        )
    )
    for each in checks.differences:
        emit(paint(f"  {say('lệch', 'differs')}: {each}", RED))
    if code:
        emit(
            say(
                "Nơi giữ sổ là đúng. Xem: [[syncd conflicts list]]",
                "The keeper is right. See: [[syncd conflicts list]]",
            )
        )
    return code


def proofs_text(proofs: list[StreamProof]) -> str:
    """Every stream on one line, what differs below it."""
    from syncd.cli.reasons import told_text
    from syncd.prove import DIFFERS, EQUAL, PAST

    words = {
        EQUAL: paint(say("khớp", "equal"), GREEN),
        DIFFERS: paint(say("LỆCH", "DIFFERS"), BOLD, RED),
        PAST: paint(say("đã qua", "past"), DIM),
    }
    kinds = {
        "register": say("sổ", "register"),
        "oversight": say("giám sát", "oversight"),
        "control": say("điều khiển", "control"),
    }
    headers = [
        say("nhật ký", "stream"),
        say("loại", "kind"),
        say("vị trí", "position"),
        say("bản ghi", "rows"),
        say("kết quả", "result"),
        "",
    ]
    rows = [
        [
            shorten(proof.about, ABOUT_CELLS_MAX),
            kinds.get(proof.kind, proof.kind),
            number(proof.seq),
            number(sum(line.rows_found for line in proof.tables if line.audience not in ("custodian", "log"))),
            words.get(proof.state, paint(say("chưa rõ", "open"), YELLOW)),
            "; ".join(difference_words(line) for line in proof.differing) or told_text(proof.reason),
        ]
        for proof in proofs
    ]
    named = [f"  {proof.about}: {', '.join(proof.rows)}" for proof in proofs if proof.rows]
    unknown = [
        say(
            "  {about}: chỉ một bên mô tả bảng {tables}; chưa đối soát (extra_tables phải như nhau ở mọi máy)",
            "  {about}: only one side describes table {tables}; not compared (extra_tables is the same at every node)",
            about=proof.about,
            tables=", ".join(proof.unknown),
        )
        for proof in proofs
        if proof.unknown
    ]
    return "\n".join([table(headers, rows, (2, 3)), *named, *unknown, summary(proofs)])


def difference_words(line: Any) -> str:
    """One differing table in words."""
    if line.audience == "log":
        return say(
            "bảng {table}: nhật ký có {stated} bản ghi, ở đây có {found}, khác nhau",
            "table {table}: the log tells of {stated} rows, here are {found}, and they differ",
            table=line.table,
            stated=number(line.rows_stated),
            found=number(line.rows_found),
        )
    if line.rows_stated != line.rows_found:
        return say(
            "bảng {table}: nơi giữ có {stated} bản ghi, ở đây có {found}",
            "table {table}: the keeper has {stated} rows, here are {found}",
            table=line.table,
            stated=number(line.rows_stated),
            found=number(line.rows_found),
        )
    return say(
        "bảng {table}: cùng {found} bản ghi, giá trị khác",
        "table {table}: {found} rows on both sides, values differ",
        table=line.table,
        found=number(line.rows_found),
    )


def summary(proofs: list[StreamProof]) -> str:
    """The last line."""
    from syncd.prove import DIFFERS, EQUAL, PAST

    equal = sum(proof.state == EQUAL for proof in proofs)
    different = sum(proof.state == DIFFERS for proof in proofs)
    past = sum(proof.state == PAST for proof in proofs)
    told = say(
        "{equal} nhật ký khớp, {different} lệch, {open} chưa kết luận được",
        "{equal} streams equal, {different} different, {open} not provable yet",
        equal=equal,
        different=different,
        open=len(proofs) - equal - different - past,
    )
    return told + (say(", {n} đã qua", ", {n} past", n=past) if past else "")
