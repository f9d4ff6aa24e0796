"""`syncd conflicts list|show|resolve|undo`: what waits for a person, what lost and why, and a person's decision.

Enters: the node's tables, verdicts. Leaves: a list, one disagreement with its values side by side, rows that settle it.
Must hold: each command names the next one in full; nothing is decided without a verdict in words of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd import limits
from syncd.cli.output import YELLOW, emit, emit_json, paint
from syncd.cli.verb import Group, directory_option, json_option, option, verb
from syncd.language import Both, number, say
from syncd.text import escaped

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.disagreements import Conflict, Filter
    from syncd.review.desk import Asked
    from syncd.store.base import Store, Tx

    CarryOut = Callable[[Store, str, Asked, int, Callable[[int], bytes]], None]

FAILED = 1
VERDICTS = ("keep-ours", "take-theirs", "value", "same-person", "not-the-same", "ask-commune", "done", "later")

command = Group(
    name="conflicts",
    words=Both(
        "Xung đột: đề nghị chờ xem xét, bên thua và lý do, vụ việc mở; quyết định và rút lại.",
        "Disagreements: reviews, losers with the reason, open cases; deciding and taking back.",
    ),
    examples=(
        "syncd conflicts list",
        "syncd conflicts show 7c1e-9a42",
        "syncd conflicts resolve 7c1e-9a42 --verdict keep-ours",
    ),
)


def filter_options(function: Any) -> Any:
    """--kind, --unit, --older-than."""
    for declare in (
        option("--older-than", "older_than", metavar="30d", vi="Chỉ vụ cũ hơn (30d, 12h).", en="Only older ones."),
        option("--unit", "unit", metavar="CODE", vi="Chỉ đơn vị mang mã này.", en="Only the unit with this code."),
        option(
            "--kind", "kind", metavar="KIND", vi="Chỉ loại này (như trung-so-ho).", en="Only this kind (see --json)."
        ),
    ):
        function = declare(function)
    return function


@verb(
    Both(
        "Liệt kê xung đột đang chờ: trước hết những vụ máy này quyết định, kèm giá trị và lệnh; rồi mới nhất trước.",
        "List disagreements that wait: first what this node decides, with values and commands; then newest first.",
    ),
    "syncd conflicts list",
    "syncd conflicts list --kind duplicate_citizen_id --older-than 30d",
    name="list",
)
@option("--all", "accepted_too", is_flag=True, vi="Cả những gì đã xong.", en="What is settled too.")
@filter_options
@directory_option
@json_option
def list_command(
    accepted_too: bool, kind: str | None, unit: str | None, older_than: str | None, directory: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    from syncd.cli.conflict_list import left_out
    from syncd.cli.place import opened_store, require_unit
    from syncd.disagreements import conflicts

    with opened_store(directory) as store, store.read() as tx:
        require_unit(tx, unit)
        found = conflicts(tx, wanted=_filter(kind, unit, older_than, accepted_too))
        if as_json:
            emit_json(found)
            return
        is_chosen = bool(kind or unit or older_than or accepted_too)  # else whatever is not listed is counted
        emit(_listed(tx, escaped.tree(found), [] if is_chosen else left_out(tx)))


def _listed(tx: Tx, found: Sequence[Conflict], rest: Sequence[str]) -> str:
    """`rest`: what is counted instead of listed."""
    from syncd.cli.conflict_list import listed, next_of_list

    if found:
        return "\n".join([listed(tx, found), "", next_of_list(found), *rest])
    nothing = say("Không có xung đột nào đang chờ.", "No disagreements wait.") if rest else say(
        "Không có xung đột nào.", "No disagreements.")  # fmt: skip
    return "\n".join([nothing, *rest])


@verb(
    Both(
        "Hiện xung đột: giá trị cạnh nhau, ai, lúc nào, vì sao; và các quyết định có thể, kèm lệnh.",
        "Show disagreements: values side by side, who, when, why; and the possible verdicts with their commands.",
    ),
    "syncd conflicts show 7c1e-9a42",
    name="show",
)
@click.argument("conflict_ids", nargs=-1, required=True, metavar="ID...")
@directory_option
@json_option
def show_command(conflict_ids: tuple[str, ...], directory: Path | None, as_json: bool) -> None:
    from syncd.cli.conflict_list import all_alike
    from syncd.cli.conflict_text import conflict_text
    from syncd.cli.place import opened_store
    from syncd.disagreement_names import code_names
    from syncd.disagreements import conflict
    from syncd.review.candidates import candidates

    with opened_store(directory) as store, store.read() as tx:
        found = [conflict(tx, each) for each in conflict_ids]
        texts = [] if as_json else [
            conflict_text(escaped.tree(each), escaped.tree(code_names(tx, each)), escaped.tree(candidates(tx, each)))
            for each in found
        ]  # fmt: skip
    if as_json:
        emit_json(found[0] if len(found) == 1 else found)
    else:
        emit("\n\n".join(texts))
        emit(all_alike(escaped.tree(found)))


@verb(
    Both(
        "Quyết định: nêu mã, hoặc chọn hàng loạt bằng --kind, --unit, --older-than.\n\nQuyết định value cần thêm "
        "CỘT=GIÁ_TRỊ. Mọi quyết định ghi lại người quyết và rút lại được: syncd conflicts undo.",
        "Decide: name ids, or choose many by --kind, --unit, --older-than.\n\n--verdict value needs COLUMN=VALUE. "
        "Every decision records who made it and can be taken back: syncd conflicts undo.",
    ),
    "syncd conflicts resolve 7c1e-9a42 --verdict keep-ours",
    "syncd conflicts resolve 7c1e-9a42 --verdict value full_name='Nguyễn Thị Bưởi'",
    "syncd conflicts resolve --kind departure_without_arrival --older-than 365d --verdict keep-ours --dry-run",
    name="resolve",
)
@click.argument("words", nargs=-1, metavar="ID... [COLUMN=VALUE...]")
@option("--verdict", type=click.Choice(VERDICTS), vi="Quyết định.", en="The verdict.")
@option("--row", "row", metavar="ID", vi="Bản ghi nào (một phần mã).", en="Which row (a part of its id).")
@option("--with", "other", metavar="ID", vi="Đầu kia của lần chuyển.", en="The other end of a move.")
@option("--reason", default="", metavar="TEXT", vi="Lý do, lưu cùng quyết định.", en="Why, kept with the decision.")
@option("--author", default=None, metavar="NAME", vi="Người quyết định.", en="Who decides (default: the user).")
@filter_options
@option("--dry-run", is_flag=True, vi="Chỉ cho biết sẽ làm gì.", en="Only say what would be done.")
@option("--yes", is_flag=True, vi="Không hỏi lại khi chọn hàng loạt.", en="Do not ask back when there are many.")
@directory_option
@json_option
def resolve_command(
    words: tuple[str, ...], verdict: str | None, row: str | None, other: str | None, reason: str, author: str | None,
    kind: str | None, unit: str | None, older_than: str | None, dry_run: bool, yes: bool, directory: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    from syncd.cli.place import opened_store
    from syncd.cli.who import author as user
    from syncd.review.resolve import resolve, try_to_resolve

    ids = [word for word in words if "=" not in word]
    settings = tuple(word for word in words if "=" in word)
    wanted = _filter(kind, unit, older_than, False) if kind or unit or older_than else None
    if bool(ids) == (wanted is not None):
        raise click.UsageError(
            say("nêu mã, hoặc chọn bằng --kind, --unit, --older-than", "name ids, or choose by --kind, --unit, "
                "--older-than")
        )  # fmt: skip
    with opened_store(directory) as store:
        found = _chosen(store, ids, wanted)
        asked = _asked(verdict, author, reason, settings, row, other, found)
        if dry_run:
            refused = _each(store, found, asked, try_to_resolve)
            would = [each for each in found if each.id not in refused]
            _report_plan(would, asked, _table(store, would) if would else "", as_json, refused)
            return FAILED if refused else 0
        if not found or (wanted is not None and not (yes or _confirmed(store, found, asked, as_json))):
            _report_plan(found, asked, "", as_json, {})
            return 0
        asked = replace(asked, author=user(author, asks=not as_json and not (yes and wanted)))
        refused = _each(store, found, asked, resolve)
        settled = _again(store, [each for each in found if each.id not in refused])
        _report(store, settled, refused, as_json)
    return FAILED if refused else 0


@verb(
    Both(
        "Rút lại quyết định đã ra ở máy này; trạng thái trước đó trở lại, không có gì bị xóa khỏi sổ quyết định.",
        "Take a decision of this node back; the state before returns, and nothing said is deleted.",
    ),
    "syncd conflicts undo 7c1e-9a42 --reason 'nhầm người'",
    name="undo",
)
@click.argument("conflict_id", metavar="ID")
@option("--reason", default="", metavar="TEXT", vi="Lý do.", en="Why.")
@option("--author", default=None, metavar="NAME", vi="Người rút lại.", en="Who takes it back (default: the user).")
@directory_option
@json_option
def undo_command(
    conflict_id: str, reason: str, author: str | None, directory: Path | None, as_json: bool
) -> None:  # fmt: skip
    import os

    from syncd.cli.place import opened_store
    from syncd.cli.who import author as user
    from syncd.disagreements import conflict
    from syncd.review.desk import Asked
    from syncd.review.resolve import undo
    from syncd.review.verbs import Verb

    with opened_store(directory) as store:
        with store.read() as tx:
            found = conflict(tx, conflict_id)
        asked = Asked(verb=Verb.LATER, author=user(author, asks=not as_json), reason=reason)
        undo(store, found.id, asked, time.time_ns() // 1_000_000, os.urandom)
        settled = _again(store, [found])
    if as_json:
        emit_json(settled[0])
        return
    emit(
        say(
            "Đã rút lại. Xem: [[syncd conflicts show {id}]]",
            "Taken back. See: [[syncd conflicts show {id}]]",
            id=found.id,
        )
    )


def _filter(kind: str | None, unit: str | None, older_than: str | None, all_states: bool) -> Filter:
    from syncd.cli.review_words import kind_names, kind_of
    from syncd.disagreements import Filter

    meant = None if kind is None else kind_of(kind)
    if kind is not None and meant is None:
        raise click.UsageError(
            say("không có loại {kind}; các loại: {kinds}", "no kind {kind}; kinds: {kinds}", kind=kind,
                kinds=", ".join(kind_names()))
        )  # fmt: skip
    return Filter(kind=meant, unit=unit, before=_before(older_than), all_states=all_states)


def _before(older_than: str | None) -> str | None:
    from syncd.clock import instant_of

    if older_than is None:
        return None
    size = {"d": 86_400_000, "h": 3_600_000}.get(older_than[-1:])
    if size is None or not older_than[:-1].isdigit() or len(older_than) > 6:
        raise click.UsageError(say("--older-than: viết 30d hoặc 12h", "--older-than: write 30d or 12h"))
    return instant_of(max(0, time.time_ns() // 1_000_000 - int(older_than[:-1]) * size))


def _chosen(store: Store, ids: Sequence[str], wanted: Filter | None) -> list[Conflict]:
    """By id, or all that the filter takes and this node decides."""
    from syncd.cli.place import require_unit
    from syncd.disagreements import OPEN, conflict, conflicts

    with store.read() as tx:
        if wanted is None:
            return list({each.id: each for each in (conflict(tx, part) for part in ids)}.values())
        require_unit(tx, wanted.unit)
        return [each for each in conflicts(tx, wanted=wanted) if each.is_here and each.state in OPEN]


def _asked(
    verdict: str | None, author: str | None, reason: str, settings: tuple[str, ...], row: str | None,
    other: str | None, found: Sequence[Conflict],
) -> Asked:  # fmt: skip
    from syncd.review.desk import Asked
    from syncd.review.verbs import Verb

    if verdict is None:
        possible = dict.fromkeys(word for each in found for word in each.verdicts) or dict.fromkeys(VERDICTS)
        raise click.UsageError(
            say("chưa nêu quyết định (--verdict); một trong: {verbs}", "--verdict is missing; one of: {verbs}",
                verbs=", ".join(possible))
        )  # fmt: skip
    return Asked(
        verb=Verb(verdict), author=author or "", reason=reason, settings=settings, row=row, other=other
    )  # fmt: skip


def _table(store: Store, found: Sequence[Conflict]) -> str:
    """What is to be decided, and about whom."""
    from syncd.cli.conflict_list import conflict_table
    from syncd.disagreement_names import concerned

    with store.read() as tx:
        return conflict_table(escaped.tree(found), escaped.tree(concerned(tx, found)))


def _confirmed(store: Store, found: Sequence[Conflict], asked: Asked, as_json: bool) -> bool:
    """Whether many are to be decided, as answered at the terminal."""
    from syncd.cli.review_words import OF_CASE

    click.echo(_table(store, found), err=as_json)
    question = say("Quyết định {verb} ({meaning}) cho {n} vụ trên?", "Decide {verb} ({meaning}) for these {n}?",
                   verb=asked.verb.value, meaning=OF_CASE[asked.verb].here, n=number(len(found)))  # fmt: skip
    return click.confirm(question, err=True) if as_json else click.confirm(question)


def _report_plan(
    found: Sequence[Conflict], asked: Asked, table: str, as_json: bool, refused: dict[str, str]
) -> None:  # fmt: skip
    """`refused`: what the very same would have been refused for."""
    from syncd.disagreements import short_id

    if as_json:
        emit_json({"dry_run": True, "verdict": asked.verb.value, "conflicts": found, "refused": refused})
        return
    for id_, why in refused.items():
        emit(f"{short_id(id_)}  {paint(why, YELLOW)}")
    if table:
        emit(table)
    emit(
        say(
            "{n} vụ sẽ nhận {verb}; chưa có gì được ghi.",
            "{n} would be decided {verb}; nothing was written.",
            n=number(len(found)),
            verb=asked.verb.value,
        )
    )


def _each(store: Store, found: Sequence[Conflict], asked: Asked, carry_out: CarryOut) -> dict[str, str]:
    """Each in a transaction of its own; one that cannot be decided so keeps no other from it. Id → why not."""
    import os

    from syncd.errors import SyncdError

    refused: dict[str, str] = {}
    for each in found:
        try:
            carry_out(store, each.id, asked, time.time_ns() // 1_000_000, os.urandom)
        except SyncdError as error:
            if len(found) == 1:
                raise
            refused[each.id] = str(error)
    return refused


def _again(store: Store, found: Sequence[Conflict]) -> list[Conflict]:
    from syncd.disagreements import conflict
    from syncd.errors import UsageError

    settled = []
    with store.read() as tx:
        for each in found:
            try:
                settled.append(conflict(tx, each.id))
            except UsageError:  # a case without a word about it that has closed meanwhile
                settled.append(each)
    return settled


def _report(store: Store, settled: Sequence[Conflict], refused: dict[str, str], as_json: bool) -> None:
    from syncd.cli.conflict_list import next_one
    from syncd.cli.conflict_text import heading
    from syncd.disagreements import STATE, short_id
    from syncd.limits import CONFLICTS_SHOWN_MAX

    if as_json:
        emit_json({"resolved": settled, "refused": refused})
        return
    for id_, why in refused.items():
        emit(f"{short_id(id_)}  {paint(why, YELLOW)}")
    if not settled:
        return
    for each in settled[: limits.DISAGREEMENTS_REPORTED_MAX]:
        state = STATE["settled"].here if each.state in ("lost", "accepted") else STATE[each.state].here
        emit(f"{short_id(each.id)}  {heading(escaped.tree(each))}: {state}")
    if len(settled) > limits.DISAGREEMENTS_REPORTED_MAX:
        emit(say("… và {n} vụ nữa", "… and {n} more", n=number(len(settled) - limits.DISAGREEMENTS_REPORTED_MAX)))
    if len(settled) + len(refused) >= CONFLICTS_SHOWN_MAX:
        emit(say("Có thể còn nữa: chạy lại lệnh này.", "There may be more: give this command again."))
    emit(
        say(
            "Quyết định tự đi tới mọi tuyến. Rút lại: [[syncd conflicts undo {id}]]",
            "The decision travels to every tier by itself. Take it back: [[syncd conflicts undo {id}]]",
            id=short_id(settled[0].id),
        )
    )
    with store.read() as tx:
        emit(next_one(tx))


for each in (list_command, show_command, resolve_command, undo_command):
    command.add_command(each)
