"""`syncd prune [--dry-run]`: forget what the province has in a verified backup and a baseline stands for.

Enters: a node's directory. Leaves: shorter logs, or what would go. The daemon does the same once a day.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncd.cli.output import emit, emit_json, plain, table
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, decimal, number, say

if TYPE_CHECKING:
    from syncd.prune import Cut

KIB = 1024


@verb(
    Both(
        "Cắt bớt nhật ký cũ mà tỉnh đã có trong bản sao lưu.\n\nChỉ cắt phần đã có bản nền thay thế và tỉnh đã ký xác "
        "nhận sao lưu (hoặc cũ hơn retention_days), không cắt phần trẻ hơn keep_days. Chương trình đồng bộ tự "
        "làm mỗi ngày. "
        "--baseline lập ngay bản nền cho sổ của máy này; --unit: máy gốc lập cho đơn vị được nêu.",
        "Forget old log that the province has in its backup.\n\nOnly what a baseline stands for and the province has "
        "signed as backed up (or what is older than retention_days) goes, and nothing younger than keep_days. The "
        "daemon does it once a day. --baseline makes one of this node's own registers first; with --unit the root "
        "makes one for that unit.",
    ),
    "syncd prune --dry-run",
    "syncd prune --baseline --json",
)
@option("--dry-run", is_flag=True, vi="Chỉ cho biết sẽ cắt gì.", en="Only say what would go.")
@option("--baseline", is_flag=True, vi="Lập bản nền trước.", en="Make a baseline first.")
@option("--unit", default=None, metavar="CODE", vi="Đơn vị cần bản nền.", en="The unit to make a baseline for.")
@directory_option
@json_option
def command(dry_run: bool, baseline: bool, unit: str | None, directory: Path | None, as_json: bool) -> None:
    from syncd.cli.place import config_of, node_directory
    from syncd.node_files import open_node
    from syncd.prune import Policy, plan, prune

    where = node_directory(directory)
    opened = open_node(where, config_of(where))
    try:
        if baseline or unit:
            _streams(opened.node, unit)  # what the run would refuse, its preview does
        made = _make(opened.node, unit) if (baseline or unit) and not dry_run else []
        policy = Policy.of_days(opened.config.keep_days, opened.config.retention_days)
        now_ms = opened.node.clock()
        if dry_run:
            with opened.store.read() as tx:
                cuts = plan(tx, policy, now_ms)
        else:
            cuts = prune(opened.store, policy, now_ms)
        names = _names(opened.store)
    finally:
        opened.close()
    if as_json:
        emit_json({"dry_run": dry_run, "baselines": made, "cuts": plain(cuts)})
        return
    _show(cuts, names, made, dry_run)


def _make(node: Any, unit: str | None) -> list[str]:
    """Baselines now: of the unit named, or of every register this node keeps. A running daemon may be quicker."""
    from syncd.baseline import make
    from syncd.errors import ForkError
    from syncd.limits import CHECKPOINT_ATTEMPTS_MAX

    for _ in range(CHECKPOINT_ATTEMPTS_MAX):
        try:
            node.write()
        except ForkError:
            continue  # the daemon has just written to the same stream: what it wrote is read anew
        made = [new.stream_id for stream in _streams(node, unit) if (new := make(node, stream.stream_id)) is not None]
        if made:
            return made
    return []


def _streams(node: Any, unit: str | None) -> list[Any]:
    from schema.spec import Kind
    from syncd import log
    from syncd.keeping import unit_named

    with node.store.read() as tx:
        if unit is None:
            return list(log.streams(tx, "kind = ? AND own = 1", (int(Kind.REGISTER),)))
        named = unit_named(node, tx, unit)
        return list(log.streams(tx, "kind = ? AND unit_id = ? AND ended = 0", (int(Kind.REGISTER), named)))


def _names(store: Any) -> dict[str, str]:
    with store.read() as tx:
        return {row[0]: f"{row[1]} {row[2]}" for row in tx.all("SELECT id, code, name FROM unit")}


def _show(cuts: list[Cut], names: dict[str, str], made: list[str], dry_run: bool) -> None:
    if made:
        emit(say("Đã lập {n} bản nền.", "Made {n} baselines.", n=number(len(made))))
    if not cuts:
        emit(
            say(
                "Chưa có gì cắt được: chưa có bản nền nằm trong bản sao lưu của tỉnh, hoặc còn trẻ hơn keep_days.",
                "Nothing to forget: no baseline is in the province's backup yet, or it is younger than keep_days.",
            )
        )
        return
    reasons = {"backup": say("đã sao lưu", "backed up"), "age": say("quá hạn lưu", "past retention")}
    headers = [say("đơn vị", "unit"), say("tới", "up to"), say("gói", "envelopes"), "KiB", say("vì", "because")]
    rows = [
        [
            names.get(cut.unit_id or "", ""),
            number(cut.to_seq),
            number(cut.envelopes),
            decimal(cut.size_bytes / KIB),
            reasons[cut.because],
        ]
        for cut in cuts
    ]
    emit(table(headers, rows, (1, 2, 3)))
    total = number(sum(cut.envelopes for cut in cuts))
    if dry_run:
        emit(say("Sẽ cắt {n} gói; chưa cắt gì.", "{n} envelopes would go; nothing went.", n=total))
    else:
        emit(say("Đã cắt {n} gói.", "{n} envelopes went.", n=total))
