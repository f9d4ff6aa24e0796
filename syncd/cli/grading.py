"""What monitoring is told: everything about a node that is not as it should be, graded 1 (warning) or 2 (critical).

Enters: `Status`, what a running daemon says of itself (or None), the time. Leaves: findings in words. Must hold: what
the screen shows in red is here too; an age comes from the daemon's own steady clock where it has one, and one that the
wall clock makes negative is a finding, never 0; nothing is critical after one try.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from conflict.limits import CLOCK_OFFSET_MS_MAX
from syncd import limits
from syncd.cli.times import age_s, duration, moment
from syncd.language import number, say
from syncd.limits import MIB
from syncd.node.bounds import CRITICAL_TIMES
from syncd.node.machine import Certificate
from syncd.status import Neighbour, Status

WARNING, CRITICAL = 1, 2
HOUR_S, DAY_S = 3600.0, 24 * 3600.0
DISK_CRITICAL_SHARE = 8
OF_LINE = ("sender", "puller")  # fail with the parent, and are judged by its bounds
OF_NODE = ("writer", "applier", "upkeep", "settings")
Live = dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`code`: 1 warning, 2 critical."""

    code: int
    text: str


def since_s(peer: Neighbour, now_ms: int) -> float | None:
    """Seconds since the last success with a neighbour: by the daemon's steady clock where it had one."""
    return peer.success_age_s if peer.success_age_s is not None else age_s(peer.last_success_at, now_ms)


def is_by_schedule(found: Status, live: Live) -> bool:
    """A machine that only runs `sync --once`: that no daemon runs is as it should be."""
    return live is None and found.exchanged_by == "once"


def machine_findings(found: Status, live: Live, now_ms: int) -> Iterator[Finding]:
    """Of the machine, its files, its clock, its duties and the province's backup."""
    yield from _daemon(found, live)
    yield from _clock(found, now_ms)
    yield from _certificates(found, now_ms)
    yield from _disk(found, live)
    yield from _duties(found, live)
    yield from _backlog(found, now_ms)
    yield from _backup(found, now_ms)


def peer_findings(found: Status, live: Live, now_ms: int) -> Iterator[Finding]:
    """Of the parent, the children, and those behind them."""
    if found.parent is not None:
        yield from _parent(found, found.parent, live, now_ms)
    late = [peer for peer in found.children if not peer.retired and is_late(found, peer, now_ms)]
    for peer in late[: limits.PEERS_NAMED_MAX]:
        yield Finding(code=WARNING, text=f"{peer.name}: {silence(peer, now_ms)}")
    if len(late) > limits.PEERS_NAMED_MAX:
        more = number(len(late) - limits.PEERS_NAMED_MAX)
        yield Finding(code=WARNING, text=say("và {n} đơn vị trực thuộc nữa im lặng", "and {n} more children are silent",
                                             n=more))  # fmt: skip
    bound_s = found.bounds.failing_s
    refused = [peer for peer in found.children if peer.last_error and (peer.failing_s or 0.0) > bound_s]
    for peer in [each for each in refused if not each.retired][: limits.PEERS_NAMED_MAX]:
        yield Finding(code=WARNING, text=f"{peer.name}: {_reason(str(peer.last_error))}")
    if found.silent:
        never = say("chưa từng trao đổi", "never heard")
        named = found.silent[: limits.AWAY_NAMED_MAX]
        names = "; ".join(f"{each.name} {duration(each.for_s) if each.for_s else never}" for each in named)
        yield Finding(code=WARNING, text=say(
            "{n} máy ở các cấp dưới xa hơn im lặng: {names}", "{n} silent further below: {names}",
            n=number(len(found.silent)), names=names,
        ))  # fmt: skip


def is_late(found: Status, peer: Neighbour, now_ms: int) -> bool:
    """Whether a child has been silent for too long, or its last word lies in the future of this clock."""
    seconds = since_s(peer, now_ms)
    return seconds is None or seconds > found.bounds.child_h * HOUR_S or seconds < -found.bounds.clock_s


def silence(peer: Neighbour, now_ms: int) -> str:
    """How long a neighbour has not been heard."""
    seconds = since_s(peer, now_ms)
    return say("chưa từng trao đổi", "never") if seconds is None else duration(seconds)


def _parent(found: Status, peer: Neighbour, live: Live, now_ms: int) -> Iterator[Finding]:
    bounds, seconds = found.bounds, since_s(peer, now_ms)
    text = f"{peer.name}: {silence(peer, now_ms)}"
    if live is None:  # nobody has tried: how long ago it was is all there is
        hours = bounds.child_h * HOUR_S
        if seconds is None or seconds > hours:
            code = CRITICAL if seconds is not None and seconds > CRITICAL_TIMES * hours else WARNING
            yield Finding(code=code, text=text)
        elif peer.last_error and found.exchanged_by == "once":
            yield Finding(code=WARNING, text=say("{name}: lần thử cuối không được", "{name}: the last try failed",
                                                 name=peer.name))  # fmt: skip
        return
    failing = max([peer.failing_s or 0.0, *(_failing_s(live, name) for name in OF_LINE)])
    silent = max(failing, seconds or 0.0) if failing else (seconds or 0.0)
    if failing > bounds.parent_critical_s or (failing > bounds.failing_s and silent > bounds.parent_critical_s):
        yield Finding(code=CRITICAL, text=text)
    elif failing > bounds.parent_warning_s or silent > bounds.parent_warning_s or seconds is None:
        yield Finding(code=WARNING, text=text)


def _failing_s(live: Live, worker: str) -> float:
    return float((live or {}).get("workers", {}).get(worker, {}).get("failing_s") or 0.0)


def _daemon(found: Status, live: Live) -> Iterator[Finding]:
    if found.is_silent:
        yield Finding(code=CRITICAL, text=say(
            "syncd đang chạy nhưng không trả lời: có thể bị treo; hãy khởi động lại dịch vụ",
            "syncd runs but does not answer: it may hang; restart the service",
        ))  # fmt: skip
    for name, worker in (live or {}).get("workers", {}).items():
        if worker.get("is_stuck"):
            yield Finding(code=CRITICAL, text=say(
                "việc {name} chạy mãi không xong ({for_}): {doing}", "{name} has been at one thing for {for_}: {doing}",
                name=name, for_=duration(float(worker.get("busy_s") or 0)), doing=str(worker.get("doing")),
            ))  # fmt: skip


def _clock(found: Status, now_ms: int) -> Iterator[Finding]:
    bound = found.bounds.clock_s
    seconds = age_s(found.newest_at, now_ms)
    if seconds is not None and seconds < -bound:
        yield Finding(code=CRITICAL, text=say(
            "đồng hồ máy này chậm hơn {span} so với chính những gì máy đã ghi ({when}): hãy chỉnh lại; nếu đồng hồ đúng"
            " thì trước đó nó đã chạy nhanh",
            "this machine's clock is {span} behind what it has recorded itself ({when}): set it; if it is right, it was"
            " ahead before",
            span=duration(-seconds), when=moment(found.newest_at),
        ))  # fmt: skip
    offset_ms = None if found.parent is None else found.parent.clock_offset_ms
    if offset_ms is not None and abs(offset_ms) > 1000 * bound:
        code = CRITICAL if abs(offset_ms) > CLOCK_OFFSET_MS_MAX else WARNING
        yield Finding(code=code, text=_off(offset_ms, say("cấp trên", "the parent")))
    elif found.is_root:
        yield from _root_clock(found)


def _root_clock(found: Status) -> Iterator[Finding]:
    """The root's clock is the one others are measured by: where its children agree against it, it is the one."""
    known = [peer.clock_offset_ms for peer in found.children if peer.clock_offset_ms is not None and not peer.retired]
    for sign in (1, -1):
        off = sorted(each for each in known if sign * each > 1000 * found.bounds.clock_s)
        if len(off) >= limits.CLOCK_WITNESSES_MIN and 2 * len(off) > len(known):
            middle = off[len(off) // 2]
            code = CRITICAL if abs(middle) > CLOCK_OFFSET_MS_MAX else WARNING
            yield Finding(code=code, text=_off(-middle, say("phần lớn máy cấp dưới", "most machines below")))


def _off(offset_ms: int, others: str) -> str:
    span = duration(abs(offset_ms) / 1000)
    if offset_ms > 0:
        return say("đồng hồ máy này nhanh hơn {others} {span}: hãy chỉnh lại",
                   "this machine's clock is {span} ahead of {others}: set it", others=others, span=span)  # fmt: skip
    return say("đồng hồ máy này chậm hơn {others} {span}: hãy chỉnh lại",
               "this machine's clock is {span} behind {others}: set it", others=others, span=span)  # fmt: skip


def _certificates(found: Status, now_ms: int) -> Iterator[Finding]:
    """Keys and certificates. Those that were made together have one trouble together."""
    yield from (Finding(code=CRITICAL, text=each) for each in found.machine.unusable)
    now_s = now_ms / 1000
    not_begun = [each for each in found.machine.certificates if each.begins_s is not None and each.begins_s > now_s]
    if not_begun:
        last = max(not_begun, key=lambda each: each.begins_s or 0.0)
        yield from _certificate(found, replace(last, file=", ".join(each.file for each in not_begun)), now_s)
    for each in found.machine.certificates:
        if each not in not_begun:
            yield from _certificate(found, each, now_s)


def _certificate(found: Status, of: Certificate, now_s: float) -> Iterator[Finding]:
    from syncd.clock import instant_of

    if of.begins_s is None or of.ends_s is None:
        yield Finding(code=CRITICAL, text=say(
            "không đọc được chứng thư {file} của máy này: đặt lại tệp từ bản sao lưu",
            "this machine's certificate {file} cannot be read: put the file back from a backup", file=of.file,
        ))  # fmt: skip
    elif now_s < of.begins_s:
        then = say("tạo lại máy gốc: syncd init", "make the root anew: syncd init") if found.is_root else say(
            "gia nhập lại với mã mới: [[syncd join MÃ_GIA_NHẬP]]",
                "join again with a new token: [[syncd join TOKEN]]")  # fmt: skip
        yield Finding(code=CRITICAL, text=say(
            "chứng thư {file} của chính máy này đến {when} mới có hiệu lực: khi tạo đồng hồ chạy nhanh, hoặc nay chạy"
            " chậm; đồng hồ đúng mà vẫn vậy thì {then}",
            "this machine's own certificate {file} is not valid before {when}: its clock was ahead when it was made, or"
            " is behind now; if the clock is right, {then}",
            file=of.file, when=moment(instant_of(int(of.begins_s * 1000))), then=then,
        ))  # fmt: skip
    elif of.ends_s - now_s < found.bounds.certificate_days * DAY_S:
        ends = moment(instant_of(int(of.ends_s * 1000)))
        words = (
            say("chứng thư {file} của chính máy này hết hạn từ {when}", "this machine's own certificate {file} ended on"
                " {when}", file=of.file, when=ends)
            if of.ends_s < now_s
            else say("chứng thư {file} của máy này sẽ hết hạn lúc {when}", "this machine's certificate {file} ends on"
                     " {when}", file=of.file, when=ends)
        )  # fmt: skip
        then = say(
            "kiểm tra đồng hồ; gia hạn bằng mã mới: [[syncd join MÃ_GIA_NHẬP]]",
            "check the clock; renew it with a new token: [[syncd join TOKEN]]",
        )
        yield Finding(code=CRITICAL if of.ends_s < now_s else WARNING, text=f"{words}: {then}")


def _disk(found: Status, live: Live) -> Iterator[Finding]:
    for path in found.machine.unwritable:
        yield Finding(code=CRITICAL, text=say("không ghi được {path}: kiểm tra quyền và đĩa",
                                              "{path} cannot be written: check its rights and the disk",
                                              path=path))  # fmt: skip
    free = found.machine.free_bytes
    if free is None or (live or {}).get("disk_full_since"):
        return  # that the disk is full is told already
    bound = found.bounds.disk_mib * MIB
    if free < bound:
        code = CRITICAL if free < bound // DISK_CRITICAL_SHARE else WARNING
        left = number(free // MIB)
        yield Finding(code=code, text=say("đĩa chỉ còn {n} MiB trống: hãy giải phóng",
                                          "only {n} MiB are free on the disk: free some", n=left))  # fmt: skip


def _duties(found: Status, live: Live) -> Iterator[Finding]:
    """Threads that fail: a lock that is held for a moment is a warning, what lasts or needs a person is critical."""
    workers = (live or {}).get("workers", {})
    shown = {peer.get("last_error") for peer in (live or {}).get("peers", {}).values()}
    for name in (*OF_NODE, *OF_LINE):
        worker = workers.get(name, {})
        error = worker.get("error")
        if not error or error in shown:
            continue
        is_passing = bool(worker.get("is_temporary")) and _failing_s(live, name) <= found.bounds.failing_s
        code = WARNING if is_passing or name in (*OF_LINE, "upkeep", "settings") else CRITICAL
        yield Finding(code=code, text=_reason(str(error)))


def _backlog(found: Status, now_ms: int) -> Iterator[Finding]:
    own, bounds = found.own, found.bounds
    waiting = own.waiting + own.at_parent
    seconds = age_s(own.oldest_waiting_at, now_ms)
    if waiting and seconds is not None and seconds > bounds.backlog_h * HOUR_S:
        code = CRITICAL if seconds > CRITICAL_TIMES * bounds.backlog_h * HOUR_S else WARNING
        yield Finding(code=code, text=say(
            "{n} thay đổi chưa tới tỉnh, cũ nhất đã {age}", "{n} changes are not at the province, the oldest for {age}",
            n=number(waiting), age=duration(seconds),
        ))  # fmt: skip
    elif waiting > bounds.backlog_rows:
        yield Finding(code=WARNING, text=say("{n} thay đổi chưa tới tỉnh", "{n} changes are not at the province",
                                             n=number(waiting)))  # fmt: skip


def _backup(found: Status, now_ms: int) -> Iterator[Finding]:
    last = found.province_backup_at
    seconds = age_s(last or found.created_at, now_ms)
    bound = found.bounds.backup_days * DAY_S
    if seconds is None or seconds <= bound:
        return
    where = say(": chạy [[syncd backup THƯ_MỤC]]", ": run [[syncd backup DIRECTORY]]") if found.is_root else ""
    text = (
        say("tỉnh chưa sao lưu từ {age} nay{where}", "the province has made no backup for {age}{where}",
            age=duration(seconds), where=where)
        if last
        else say("tỉnh chưa có bản sao lưu nào{where}", "the province has no backup yet{where}", where=where)
    )  # fmt: skip
    yield Finding(code=CRITICAL if seconds > CRITICAL_TIMES * bound and found.is_root else WARNING, text=text)


def _reason(text: str) -> str:
    """A stored reason in the operator's language; its words are loaded only where there is trouble."""
    from syncd.cli.reasons import told_text

    return told_text(text)
