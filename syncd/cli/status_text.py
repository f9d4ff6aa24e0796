"""The status screen: one page an operator takes in at a glance, worst news where the eye falls.

Enters: `Status`, what a running daemon says of itself (or None), the time. Leaves: at most `SCREEN_LINES` lines for a
dozen children; a trouble that is told at length takes the lines it needs. Must hold: what is not known is said so; a
success is never claimed for an attempt; no reason and no remedy is cut short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from syncd import limits
from syncd.cases import case_title
from syncd.cli.grading import CRITICAL, is_by_schedule, is_late, machine_findings, peer_findings, since_s
from syncd.cli.matched_text import matched
from syncd.cli.output import BOLD, DIM, GREEN, RED, YELLOW, paint, shorten, table, width
from syncd.cli.times import age, age_s, duration, moment
from syncd.language import number, say
from syncd.review.standing import Waiting
from syncd.status import Neighbour, Status
from syncd.store.files import linked_words
from syncd.text.command import COMMAND, at_hand

SCREEN_LINES = 24
CELLS_MAX = 100
NAME_CELLS_MAX = 30
INDENT = "    "
NEXT = "syncd conflicts list"
UNPROVEN_S = 300.0  # longer without a checkpoint behind the newest rows is worth a warning: one comes 30 s after them


def screen(found: Status, live: dict[str, Any] | None, now_ms: int, wanted: str | None = None) -> str:
    """The whole screen. `wanted`: which children: `all`, `late`, or a part of a unit's code or name; None: those that
    need help most.
    """
    lines = [
        *_head(found, live),
        _own(found),
        *_troubles(found, live, now_ms),
        *_succession(found),
        *_rejoining(found, live),
        *_passing(found),
        *_parent(found, live, now_ms),
        *_children(found, now_ms, wanted),
        *_silent(found),
        *_streams(found),
        *_conflicts(found, now_ms),
        *_checks(found, now_ms),
        *matched(found),
        _versions(found),
    ]
    return "\n".join(lines)


def verdict(found: Status, live: dict[str, Any] | None, now_ms: int) -> tuple[int, list[str]]:
    """For monitoring: 0 fine, 1 warning, 2 critical, and why."""
    critical = [f"{say('dừng', 'stopped')}: {stream.about}" for stream in found.stopped if stream.state != "waiting"]
    critical += troubles(found, live)
    if found.checks.different:
        critical.append(say("đối soát lệch {n}", "{n} checkpoints differ", n=found.checks.different))
    if found.root_branches:
        critical.append(say(
            "nhật ký của máy gốc có hai nhánh ({n} nhật ký): [[syncd conflicts list]]",
            "streams of the root have two branches ({n}): [[syncd conflicts list]]", n=found.root_branches,
        ))  # fmt: skip
    warning = [f"{say('chờ', 'waiting')}: {stream.about}" for stream in found.stopped if stream.state == "waiting"]
    warning += [f"{say('chưa đối soát được', 'not provable')}: {about}" for about in _unproven(found, now_ms)]
    if found.is_mark_unreadable and not found.rejoining:
        warning.append(_mark_words())
    elif found.is_older_copy or found.rejoining:
        warning.append(say("bản sao cũ, đang lấy lại nhật ký", "an older copy, taking its log back"))
    elif waits := _unheard(found, live):
        warning.append(waits)
    elif awaited := _awaited(found, live):
        warning.append(awaited)
    if found.linked:
        warning.append(linked_words(found.linked))
    if live is None and not found.is_silent and not is_by_schedule(found, live):
        warning.append(say("chương trình đồng bộ đã dừng", "the daemon is stopped"))
    for each in (*machine_findings(found, live, now_ms), *peer_findings(found, live, now_ms)):
        (critical if each.code == CRITICAL else warning).append(each.text)
    if found.reviews or found.cases:
        warning.append(say("{n} xung đột chờ", "{n} conflicts wait", n=found.reviews + found.cases))
    return (2, [*critical, *warning]) if critical else (1, warning) if warning else (0, [])


def troubles(of: Status, live: dict[str, Any] | None) -> list[str]:
    """What has ended the daemon, or keeps it from its work whatever it tries: files taken away, a full disk."""
    found = [] if of.trouble is None else [_reason(of.trouble)]
    if of.rescued is not None:
        found.append(
            say(
                "nội dung lúc bị lấy đi đã được ghi vào {path}; muốn dùng bản đó, dời mọi tệp syncd.db* cũ đi trước",
                "what was in it when it was taken away is in {path}; to use that copy, move every old syncd.db* away"
                " first",
                path=of.rescued,
            )
        )
    if live is not None and live.get("disk_full_since"):
        found.append(
            say(
                "đĩa đầy từ {when}, đang dùng phần dự trữ — hãy giải phóng đĩa; không mất gì đã ghi nhận",
                "the disk is full since {when}, the reserve is in use — free disk space; nothing acknowledged is lost",
                when=moment(live["disk_full_since"]),
            )
        )
    return found


def _troubles(of: Status, live: dict[str, Any] | None, now_ms: int) -> list[str]:
    label = say("Trục trặc", "Trouble")
    lines = [paint(_told(label, text), RED) for text in troubles(of, live)]
    if of.linked:
        lines.append(paint(_told(say("Cảnh báo", "Warning"), linked_words(of.linked)), YELLOW))
    for each in machine_findings(of, live, now_ms):
        is_critical = each.code == CRITICAL
        word = label if is_critical else say("Lưu ý", "Note")
        lines.append(paint(_told(word, each.text), RED if is_critical else YELLOW))
    return lines


def _rejoining(found: Status, live: dict[str, Any] | None) -> list[str]:
    """A restored copy or a second machine: why nothing goes into the log now, and what becomes of what is typed."""
    if found.is_mark_unreadable and not found.rejoining:
        return _wrapped(paint(_mark_words(), YELLOW), "")
    if waits := _unheard(found, live):
        return _wrapped(paint(waits, YELLOW), "")
    if not (found.is_older_copy or found.rejoining):
        return [paint(line, YELLOW) for line in _wrapped(_awaited(found, live), "")]
    text = say(
        "Bản sao cũ: chờ máy lân cận trả lại nhật ký, chưa ghi gì thêm; đã gõ {n} thay đổi, sẽ thành đề nghị",
        "An older copy: neighbours are handing its log back, nothing is sealed; {n} changes typed become proposals",
        n=number(found.own.unsealed + found.wishes),
    )
    return _wrapped(paint(text, YELLOW), "")


def _mark_words() -> str:
    return say(
        "tệp positions hỏng: không rõ đây có phải bản sao cũ; khi khởi động, máy hỏi máy lân cận trước khi ghi tiếp",
        "the file positions is damaged: whether this is an older copy nobody here knows; at a start neighbours are"
        " asked before anything is sealed",
    )


def _unheard(found: Status, live: dict[str, Any] | None) -> str:
    """A root since its start: it may be an older copy, which only its children can tell."""
    if live is None or live.get("is_heard") is not False or found.is_older_copy or found.rejoining:
        return ""
    return say(
        "Vừa khởi động: chờ nghe một máy cấp dưới rồi mới ghi vào nhật ký (máy này có thể là bản sao cũ); {n} thay đổi"
        " đã gõ đang chờ, không mất",
        "Just started: nothing is sealed before a node below has been heard (this may be an older copy); {n} changes"
        " typed wait, none is lost",
        n=number(found.own.unsealed),
    )


def _awaited(found: Status, live: dict[str, Any] | None) -> str:
    """A restored copy whose own log is back: which children may hold what it lacks; empty when none."""
    awaited = set((live or {}).get("awaited") or ())
    names = [peer.unit or peer.name for peer in found.children if peer.node_id in awaited]
    if not names:
        return ""
    if len(names) > limits.AWAITED_SHOWN_MAX:
        more = number(len(names) - limits.AWAITED_SHOWN_MAX)
        names = [*names[: limits.AWAITED_SHOWN_MAX], say("và {n} máy nữa", "and {n} more", n=more)]
    return say(
        "Vừa khôi phục, còn chờ phần bị thiếu từ: {names}",
        "Just restored, what is missing here has yet to come from: {names}",
        names="; ".join(names),
    )


def _succession(found: Status) -> list[str]:
    """A machine that waits to take over, or that another one has taken the place of: what is to be done where."""
    of = found.succession
    if of is None:
        return []
    facts = {"unit": of.unit, "code": of.unit_code, "keeper": of.keeper_name, "tag": of.keeper_tag,
             "me": found.node_id[-8:]}  # fmt: skip
    if of.state == "waits":
        text = say(
            "Máy này chờ nhận sổ {unit}, đang do {keeper} · {tag} giữ. Máy đó hỏng hoặc mất: tại tỉnh chạy `syncd"
            " replace {code} --to {me}`; còn chạy: tại cấp trên chạy `syncd handover {code} --to {me}`",
            "This machine waits to take over {unit}, kept by {keeper} · {tag}. Is that one dead or stolen? At the"
            " province: `syncd replace {code} --to {me}`; alive? At the parent: `syncd handover {code} --to {me}`",
            **facts,
        )
    elif of.state == "revoked":
        text = say(
            "Máy này đã bị thu hồi: {unit} do {keeper} · {tag} giữ, không ai nhận gì từ máy này nữa. Hãy tắt, gỡ syncd",
            "This machine was revoked: {unit} is kept by {keeper} · {tag}, nothing from here is believed any more."
            " Switch it off and remove syncd",
            **facts,
        )
    else:
        text = say(
            "Máy này đã được thay: {unit} do {keeper} · {tag} giữ. Hãy tắt máy này; những gì gõ thêm ở đây trở lại"
            " thành đề nghị",
            "This machine was replaced: {unit} is kept by {keeper} · {tag}. Switch it off; what is typed here comes"
            " back as proposals",
            **facts,
        )
    return [paint(line, YELLOW) for line in _wrapped(text, "")]


def _passing(found: Status) -> list[str]:
    """Units that pass on, and what a former keeper wrote too late: each with what is waited for."""
    lines = []
    for each in found.hand_overs[: limits.STOPPED_SHOWN_MAX]:
        text = say("Bàn giao {unit}: {old} → {new}, chờ {waited}", "Hand-over of {unit}: {old} → {new}, waiting for"
                   " {waited}", unit=each.unit, old=each.from_name or "?", new=each.to_name or "?",
                   waited=(each.from_name if each.waits_for == "old" else each.to_name) or "?")  # fmt: skip
        lines += _wrapped(paint(text, YELLOW), "")
    if len(found.hand_overs) > limits.STOPPED_SHOWN_MAX:
        lines.append(say("… và {n} bàn giao nữa (`[[syncd status --json]]`)", "… and {n} more hand-overs (`[[syncd"
                         " status --json]]`)", n=len(found.hand_overs) - limits.STOPPED_SHOWN_MAX))  # fmt: skip
    if found.late_writes:
        text = say("Ghi sau khi hết nhiệm kỳ: {n} gói chờ nhận → [[syncd adopt]]",
                   "Written after a term had ended: {n} batches wait → [[syncd adopt]]",
                   n=number(found.late_writes))  # fmt: skip
        lines.append(paint(text, YELLOW))
    return lines


def _head(found: Status, live: dict[str, Any] | None) -> list[str]:
    if live is not None:
        state = paint(say("đang chạy", "running"), GREEN)
    elif found.is_silent:
        state = paint(say("không trả lời", "does not answer"), RED)
    elif is_by_schedule(found, live):
        state = say("trao đổi theo lịch (sync --once)", "exchanges by schedule (sync --once)")
    else:
        state = paint(say("đã dừng", "stopped"), YELLOW)
    unit = f"{found.unit_code} {found.unit_name}"
    name = "" if found.name in ("", found.unit_name) else f" ({found.name})"
    head = f"{paint(unit, BOLD)}{name} · {say('máy', 'node')} {found.node_id[-8:]} · {state}"
    joined = f"{head} · {_kept(found)}"
    return [joined] if width(joined) <= CELLS_MAX else [head, f"  {_kept(found)}"]


def _kept(found: Status) -> str:
    """Whose registers are written here: how many, and which if they are few."""
    if not found.kept_units:
        return say("chưa giữ đơn vị nào", "keeps no unit yet")
    if found.kept_units > len(found.kept_codes):
        return say("giữ {n} đơn vị", "keeps {n} units", n=number(found.kept_units))
    codes = ", ".join(found.kept_codes)
    if found.kept_units == 1:
        return say("giữ đơn vị {code}", "keeps unit {code}", code=codes)
    return say("giữ {n} đơn vị: {codes}", "keeps {n} units: {codes}", n=number(found.kept_units), codes=codes)


def _own(found: Status) -> str:
    own = found.own
    if found.is_root:
        return say(
            "Thay đổi của máy: chờ ghi nhật ký {waiting} · đã ở tỉnh {here} · đã sao lưu {backed_up}",
            "Own changes: waiting for the log {waiting} · at the province {here} · in its backup {backed_up}",
            waiting=number(own.waiting),
            here=_known(own.at_custodian),
            backed_up=_known(own.backed_up),
        )
    return say(
        "Thay đổi của máy: chờ gửi {waiting} · ở cấp trên {parent} · đã tới tỉnh {custodian}"
        " · trong bản sao lưu của tỉnh {backed_up}",
        "Own changes: waiting {waiting} · at the parent {parent} · at the province {custodian}"
        " · in the province's backup {backed_up}",
        waiting=_loud(own.waiting),
        parent=number(own.at_parent),
        custodian=_known(own.at_custodian),
        backed_up=_known(own.backed_up),
    )


def _known(count: int | None) -> str:
    return say("(nhật ký dài, không đếm)", "(long log, not counted)") if count is None else paint(number(count), GREEN)


def _loud(count: int) -> str:
    return paint(number(count), YELLOW) if count else number(count)


def _parent(found: Status, live: dict[str, Any] | None, now_ms: int) -> list[str]:
    peer = found.parent
    if peer is None:
        return []
    label = f"{say('Cấp trên', 'Parent')}: {peer.unit or peer.name}"
    seconds = since_s(peer, now_ms)
    if live is None:
        when = moment(peer.last_success_at) or say("chưa có lần nào", "none yet")
        if seconds is not None and seconds < 0:
            when += f" ({age(peer.last_success_at, now_ms)})"
        state = "" if is_by_schedule(found, live) else say("chương trình đồng bộ đã dừng; ", "daemon stopped; ")
        lines = [
            say(
                "{label} · {state}lần trao đổi thành công cuối được ghi: {when}",
                "{label} · {state}last recorded successful exchange: {when}",
                label=label,
                state=state,
                when=when,
            )
        ]
    elif seconds is None:
        lines = [say("{label} · chưa trao đổi thành công lần nào", "{label} · no successful exchange yet", label=label)]
    elif seconds < 0:
        lines = [
            say(
                "{label} · trao đổi thành công cuối: {when}, {age}",
                "{label} · last successful exchange: {when}, {age}",
                label=label,
                when=moment(peer.last_success_at),
                age=age(peer.last_success_at, now_ms),
            )
        ]
    else:
        lines = [
            say(
                "{label} · trao đổi thành công {age} trước",
                "{label} · last successful exchange {age} ago",
                label=label,
                age=duration(seconds),
            )
        ]
    if peer.last_error:  # a success takes it away, whatever the clock said then
        lines.append(paint(_told(f"  {say('lần thử cuối', 'last attempt')}", _reason(peer.last_error)), RED))
    return lines


def _children(found: Status, now_ms: int, wanted: str | None) -> list[str]:
    """Those who need help most come first; of many the rest is counted."""
    if not found.children:
        return [] if wanted is None else [say("không có đơn vị trực thuộc nào", "there are no children")]
    headers = [
        say("Đơn vị trực thuộc", "Children"),
        say("trao đổi thành công", "last success"),
        say("độ trễ", "lag"),
        say("chờ gửi", "waiting"),
        say("vụ việc", "cases"),
    ]
    names = Counter(peer.unit or peer.name for peer in found.children)
    chosen = [peer for peer in by_need(found, now_ms) if _is_wanted(found, peer, wanted, now_ms)]
    shown = chosen if wanted else chosen[: limits.STATUS_CHILDREN_MAX]
    rows = [_child(found, peer, names[peer.unit or peer.name] > 1, now_ms) for peer in shown]
    lines = table(headers, rows, (2, 3, 4)).split("\n")
    if not rows:
        lines.append(say("  không có đơn vị nào khớp với {wanted}", "  no child is like {wanted}", wanted=wanted or ""))
    for peer in [each for each in shown if each.last_error and not each.retired][: limits.REFUSED_SHOWN_MAX]:
        label = f"  {peer.unit or peer.name}, {say('lần thử cuối', 'last attempt')}"
        lines += paint(_told(label, _reason(peer.last_error or "")), YELLOW).split("\n")
    if left := len(chosen) - len(shown):
        late = sum(is_late(found, peer, now_ms) for peer in chosen[len(shown) :] if not peer.retired)
        lines.append(
            say(
                "… và {n} đơn vị nữa, {late} im lặng (`[[syncd status --children all]]`; late, hoặc mã, tên)",
                "… and {n} more, {late} of them silent (`[[syncd status --children all]]`; late, or a code, a name)",
                n=number(left),
                late=number(late),
            )
        )
    return lines


def by_need(found: Status, now_ms: int) -> list[Neighbour]:
    """Children in the order of who needs help: silent ones, the longest first; clocks far off; refused ones; then by
    what waits; who was replaced comes last."""

    def need(peer: Neighbour) -> tuple[Any, ...]:
        seconds = since_s(peer, now_ms)
        is_off = abs(peer.clock_offset_ms or 0) > 1000 * found.bounds.clock_s
        late = is_late(found, peer, now_ms)
        return (
            bool(peer.retired), not late, -(seconds if seconds is not None else float("inf")) if late else 0.0,
            not is_off, peer.last_error is None, -(peer.open_cases or 0), -(peer.waiting_rows or 0), peer.unit or "",
            peer.name,
        )  # fmt: skip

    return sorted(found.children, key=need)


def _is_wanted(found: Status, peer: Neighbour, wanted: str | None, now_ms: int) -> bool:
    if wanted is None or wanted == "all":
        return True
    if wanted == "late":
        return not peer.retired and is_late(found, peer, now_ms)
    return wanted.casefold() in f"{peer.unit or ''} {peer.name} {peer.node_id}".casefold()


def _silent(found: Status) -> list[str]:
    """Nodes further below that those above them do not hear: each with whom to ask."""
    lines = []
    for each in found.silent[: limits.SILENT_SHOWN_MAX]:
        text = say(
            "  im lặng ở cấp dưới: {name} (trực thuộc {via}), {age}", "  silent below: {name} (below {via}), {age}",
            name=each.name, via=each.via,
            age=duration(each.for_s) if each.for_s else say("chưa từng trao đổi", "never heard"),
        )  # fmt: skip
        lines.append(paint(text, RED))
    if len(found.silent) > limits.SILENT_SHOWN_MAX:
        more = number(len(found.silent) - limits.SILENT_SHOWN_MAX)
        lines.append(
            say(
                "  … và {n} nơi nữa (`[[syncd status --json]]`)", "  … and {n} more (`[[syncd status --json]]`)", n=more
            )
        )
    return lines


def _child(found: Status, peer: Neighbour, has_namesake: bool, now_ms: int) -> list[str]:
    """One line. `has_namesake`: two machines of one unit are told apart by their tags."""
    seconds = since_s(peer, now_ms)
    if seconds is None:
        lag = say("chưa từng", "never")
    else:
        lag = duration(seconds) if seconds >= 0 else f"-{duration(-seconds)}"
    name = shorten(peer.unit or peer.name, NAME_CELLS_MAX)
    if has_namesake:
        tag = f" · {peer.node_id[-8:]}"
        name = shorten(peer.unit or peer.name, NAME_CELLS_MAX - len(tag)) + tag
    if peer.retired:
        word = say("thu hồi", "revoked") if peer.retired == "revoked" else say("đã thay", "replaced")
        return [name, moment(peer.last_success_at) or "–", word, "–", "–"]
    return [
        name,
        moment(peer.last_success_at) or "–",
        paint(lag, *([RED] if is_late(found, peer, now_ms) else [])),
        _count(peer.waiting_rows),
        _count(peer.open_cases),
    ]


def _count(value: int | None) -> str:
    return "?" if value is None else _loud(value)


def _streams(found: Status) -> list[str]:
    lines = []
    for stream in found.stopped[: limits.STOPPED_SHOWN_MAX]:
        word = say("chờ", "waits") if stream.state == "waiting" else say("dừng", "stopped")
        text = _told(f"{say('Nhật ký', 'Stream')} {stream.about} {word}", _reason(stream.reason))
        lines.append(paint(text, *([YELLOW] if stream.state == "waiting" else [RED])))
    if len(found.stopped) > limits.STOPPED_SHOWN_MAX:
        lines.append(
            say(
                "… và {n} nhật ký nữa (`[[syncd status --json]]`)",
                "… and {n} more streams (`[[syncd status --json]]`)",
                n=len(found.stopped) - limits.STOPPED_SHOWN_MAX,
            )
        )
    return lines


def _reason(text: str) -> str:
    """A stored reason in the operator's language; its words are loaded only where there is trouble."""
    from syncd.cli.reasons import told_text

    return told_text(text)


def _told(label: str, error: str) -> str:
    """An error on one line, or on the lines it needs, what to do beginning on one of its own."""
    text = f"{label}: {error}"
    if width(text) <= CELLS_MAX:
        return text
    message, _, remedy = text.partition(" — ")
    return "\n".join([*_wrapped(message, ""), *(_wrapped(f"— {remedy}", INDENT) if remedy else [])])


def _wrapped(text: str, indent: str) -> list[str]:
    """Lines; a command stays on one, so that it can be copied."""
    whole = COMMAND.sub(lambda found: found[0].replace(" ", "\xa0"), text)
    lines = wrap(whole, CELLS_MAX, initial_indent=indent, subsequent_indent=INDENT, break_long_words=False,
                 break_on_hyphens=False)  # fmt: skip
    return [line.replace("\xa0", " ") for line in lines]


def _next(more: str = "") -> str:
    return f"→ {at_hand(NEXT + more)}"


def _conflicts(found: Status, now_ms: int) -> list[str]:
    text = say(
        "Xung đột: chờ xem xét {reviews} · vụ việc mở {cases} · đề nghị chưa quyết {undecided}",
        "Conflicts: for review {reviews} · open cases {cases} · undecided proposals {undecided}",
        reviews=_loud(found.reviews),
        cases=_loud(found.cases),
        undecided=number(found.undecided),
    )
    return [text, *_by_kind(found.disagreements, now_ms)]


def _by_kind(waiting: Sequence[Waiting], now_ms: int) -> list[str]:
    """What waits by kind with the age of the oldest: what this node decides, what others do, and the exception list of
    moves, for which nobody waits."""
    if not waiting:
        return []
    from syncd.review.verbs import MOVES

    others = [each for each in waiting if each.kind not in MOVES]
    here = [(each, each.here) for each in others if each.here]
    elsewhere = [(each, each.count - each.here) for each in others if each.count > each.here]
    moves = [(each, each.count) for each in waiting if each.kind in MOVES]
    lines = []
    if here:
        lines += _counted(say("máy này quyết định", "this node decides"), here, _next(), now_ms)
    if elsewhere:
        lines += _counted(say("máy khác quyết định", "other nodes decide"), elsewhere, "" if here else _next(), now_ms)
    if moves:
        head = say("quá 90 ngày chưa có đầu kia", "without their other end after 90 days")
        lines += _counted(head, moves, _next(f" --kind {moves[0][0].kind}"), now_ms)
    return lines


def _counted(head: str, kinds: Sequence[tuple[Waiting, int]], then: str, now_ms: int) -> list[str]:
    parts = [f"{case_title(each.kind)} {number(n)} ({age(each.oldest_at, now_ms)})" for each, n in kinds]
    lines = _wrapped(f"{head} {number(sum(n for _, n in kinds))}: {' · '.join(parts)}", "  ")
    if not then:
        return lines
    # A command stays on one line, so that it can be copied.
    if width(lines[-1]) + 1 + width(then) <= CELLS_MAX:
        return [*lines[:-1], f"{lines[-1]} {paint(then, DIM)}"]
    return [*lines, f"{INDENT}{paint(then, DIM)}"]


def _checks(found: Status, now_ms: int) -> list[str]:
    checks = found.checks
    if checks.last_at is None:
        lines = [
            say("Đối soát: chưa nhận điểm đối soát nào từ máy khác", "Checkpoints: none received from other nodes yet")
        ]
    else:
        text = say(
            "Đối soát: khớp {equal} · lệch {different} · lần cuối {when}",
            "Checkpoints: match {equal} · differ {different} · last {when}",
            equal=paint(number(checks.equal), GREEN),
            different=paint(number(checks.different), *([RED] if checks.different else [])),
            when=moment(checks.last_at),
        )
        lines = [text]
    told = []
    if checks.differences:
        told.append((f"{say('lệch', 'differ')}: {'; '.join(checks.differences)}", RED))
    unproven = _unproven(found, now_ms)
    if unproven:
        told.append((f"{say('chưa đối soát được', 'not provable')}: {'; '.join(unproven)}", YELLOW))
    joined = "  " + " · ".join(paint(text, colour) for text, colour in told)
    if told and width(joined) <= CELLS_MAX:
        return [*lines, joined]
    return lines + [paint(line, colour) for text, colour in told for line in _wrapped(text, "  ")]


def _unproven(found: Status, now_ms: int) -> list[str]:
    """What has had no checkpoint behind its newest rows for too long, each once."""
    late = [each for each in found.unproven if (age_s(each.changed_at, now_ms) or 0) > UNPROVEN_S]
    return list(dict.fromkeys(each.about for each in late))


def _versions(found: Status) -> str:
    database = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(found.dialect, found.dialect)
    text = say(
        "{database} · lược đồ {revision} · cơ sở dữ liệu {migration}",
        "{database} · schema {revision} · database {migration}",
        database=database,
        revision=found.schema_revision,
        migration=found.database_revision or "–",
    )
    when = moment(found.last_backup_at) or say("chưa có", "none")
    text += say(" · sao lưu cuối {when}", " · last backup {when}", when=when)
    if found.unapplied_envelopes:
        count = number(found.unapplied_envelopes)
        text += say(" · đã nhận, chưa vào bảng: {n} gói", " · received, not applied yet: {n} envelopes", n=count)
    return paint(text, DIM)
