"""One program at a time works as a node: who holds its directory, since when, and what to do beside it.

Enters: a node's directory and the command that wants it. Leaves: the held lock, or an error in an operator's words.
Must hold: the lock ends with its process, however that ends; no message names the lock's file; nobody works in a copy
of a directory whose daemon runs on this machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from syncd.clock import Clock, instant_of, system_clock
from syncd.control import original_of
from syncd.errors import AlreadyRunning, SyncdError
from syncd.language import say
from syncd.system import LOCK_TEXT_BYTES_MAX, FileLock, lock_file, read_beginning
from syncd.text.moments import moment

LOCK_FILE: Final = "daemon.lock"
RUN, SYNC, RESTORE, INIT, JOIN = "run", "sync --once", "restore", "init", "join"


class Holder(NamedTuple):
    """Who holds a directory, as its lock tells: `verb` is the command, since when; empty where it does not say."""

    pid: str
    since: str
    verb: str


def hold(directory: Path, verb: str, clock: Clock = system_clock) -> FileLock:
    """Take the directory for `syncd VERB`. Raises AlreadyRunning, which says what works there."""
    path = directory / LOCK_FILE
    try:
        return lock_file(path, f"{instant_of(clock())} {verb}")
    except AlreadyRunning as error:
        holder = _holder(path)
        raise AlreadyRunning(_what(directory, holder), _remedy(holder, verb)) from error


def require_original(directory: Path) -> None:
    """Raises AlreadyRunning where `directory` is a copy of one whose daemon runs here: two machines with one key."""
    original = original_of(directory)
    if original is not None:
        raise AlreadyRunning(
            say(
                "{directory} là bản chép của {other}, nơi chương trình đồng bộ đang chạy (pid {pid})",
                "{directory} is a copy of {other}, whose daemon runs (pid {pid})",
                directory=directory,
                other=original[0],
                pid=original[1],
            ),
            say(
                "mỗi máy chỉ chạy ở một nơi: dừng chương trình kia trước; để cất giữ thì sao lưu, đừng chép thư mục",
                "a node runs in one place only: stop the other first; what is to be kept is backed up, not copied",
            ),
        )


def _holder(path: Path) -> Holder:
    try:
        lines = read_beginning(path, LOCK_TEXT_BYTES_MAX).decode("ascii", "replace").split("\n")
    except SyncdError:
        lines = []
    pid, note = ([*lines, "", ""])[:2]
    since, _, verb = note.partition(" ")
    return Holder(pid.removeprefix("pid ") or "?", since, verb)


def _what(directory: Path, holder: Holder) -> str:
    if holder.verb == RUN:
        return say(
            "chương trình đồng bộ trong {directory} đang chạy (pid {pid}, từ {since})",
            "the daemon of {directory} is running (pid {pid}, since {since})",
            directory=directory, pid=holder.pid, since=moment(holder.since),
        )  # fmt: skip
    return say(
        "lệnh khác, syncd {verb}, đang làm việc trong {directory} (pid {pid})",
        "another command, syncd {verb}, is at work in {directory} (pid {pid})",
        directory=directory, pid=holder.pid, verb=holder.verb or "…",
    )  # fmt: skip


def _remedy(holder: Holder, verb: str) -> str:
    """What to do instead of, or before, the command that was refused."""
    if holder.verb != RUN:
        return say("chờ lệnh đó xong rồi chạy lại", "wait until it has ended, then run this again")
    if verb == SYNC:
        return say(
            "không cần lệnh này: chương trình đang chạy tự trao đổi ngay khi có thay đổi (xem [[syncd status]])",
            "this is not needed: what runs exchanges by itself as soon as anything changes (see [[syncd status]])",
        )
    if verb == RUN:
        return say(
            "không cần chạy thêm (xem [[syncd status]]); muốn chạy lại từ đầu thì dừng nó trước: {stop}",
            "there is no need for another (see [[syncd status]]); to start anew stop it first: {stop}",
            stop=_stop(holder),
        )
    return say("dừng nó trước: {stop}", "stop it first: {stop}", stop=_stop(holder))


def _stop(holder: Holder) -> str:
    return say("systemctl stop syncd, hoặc kill {pid}", "systemctl stop syncd, or kill {pid}", pid=holder.pid)
