"""The only module that calls the operating system where systems differ: file rights, durable files, locks, the
language.

What enters: paths and bytes. What leaves: files that survive a power cut, and errors of `syncd.errors` with the path
and a remedy.
What must hold: a secret file is never visible to others, not even while it is being written; a file is either the old
one or the new one, never half of it; a lock dies with its process. The Windows branches are type-checked; they have
not been run.
"""

import errno
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from syncd.errors import AlreadyRunning, DiskFull, KeyFileError, PermissionDenied, SyncdError
from syncd.language import say
from syncd.store.os_causes import BY_ERRNO, OTHER

SECRET_FILE_MODE = 0o600
SECRET_DIRECTORY_MODE = 0o700
PUBLIC_FILE_MODE = 0o644
OTHERS_MASK = 0o077
GROUP_READS_MASK = 0o037  # for the one secret that a clerk's program in the node's group may be given: the database's
LOCK_TEXT_BYTES_MAX = 128
# Windows forbids reading a locked byte, so the lock lies far behind the text that says who holds it.
LOCK_OFFSET_BYTES = 1 << 30
INOTIFY_MODIFY = 2  # inotify(7)
WATCH_BYTES = 65_536
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # goes away when others give some back
MALLOC_ARENA_MAX = -8  # mallopt(3)
UNLIMITED = 1 << 20  # as many descriptors as a system without a limit is taken to have


def make_secret_directory(path: Path) -> None:
    """Create `path` (and its parents) for this account alone; tighten it when it exists."""
    try:
        path.mkdir(mode=SECRET_DIRECTORY_MODE, parents=True, exist_ok=True)
        _restrict(path, SECRET_DIRECTORY_MODE)
    except OSError as error:
        raise translate_os_error(
            error, say("không tạo được thư mục {path}", "cannot create the directory {path}", path=path)
        ) from error


def write_secret_file(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, readable by this account alone: whole and on the disk when this returns, or
    unchanged.
    """
    _write_file(path, data, SECRET_FILE_MODE)


def write_public_file(path: Path, data: bytes) -> None:
    """The same for what everyone may read (certificates)."""
    _write_file(path, data, PUBLIC_FILE_MODE)


def read_secret_file(path: Path, bytes_max: int, closed_mask: int = OTHERS_MASK) -> bytes:
    """The content of a secret file that only its owner can read; raises `KeyFileError` when it is not so, or is too
    large. `closed_mask`: the rights that nobody else may have.
    """
    check_secret_file(path, closed_mask)
    data = read_beginning(path, bytes_max + 1)
    if len(data) > bytes_max:
        raise KeyFileError(
            say("{path} dài quá {most} byte", "{path} holds more than {most} bytes", path=path, most=bytes_max),
            say(
                "đây không phải tệp khóa; đặt lại đúng tệp của máy",
                "this is not a key file; put the node's own file back",
            ),
        )
    return data


def read_any_file(path: Path, bytes_max: int) -> bytes:
    """The content of a small file, whoever may read it."""
    data = read_beginning(path, bytes_max + 1)
    if len(data) > bytes_max:
        raise SyncdError(
            say("{path} dài quá {most} byte", "{path} holds more than {most} bytes", path=path, most=bytes_max),
            say("đây không phải tệp của máy; bỏ nó ra khỏi thư mục", "this is no file of a node; take it away"),
        )
    return data


def read_beginning(path: Path, size: int) -> bytes:
    """The first bytes of a file. Raises SyncdError where it cannot be read, or is a database that is open here."""
    refuse_library_file(path)
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise translate_os_error(error, say("không đọc được {path}", "cannot read {path}", path=path)) from error


def note_library_file(path: str) -> None:
    """A database library has this file open in this process: from now on nobody else here opens it or its log."""
    _of_library.add(os.path.realpath(path))


def refuse_library_file(path: Path) -> None:
    """Raises SyncdError for a database that is open here: closing another descriptor of it would drop its locks.

    By its name: the number of a file that is gone is soon another's.
    """
    if os.path.realpath(path) in _of_library:
        raise SyncdError(
            say("{path} là cơ sở dữ liệu của chính máy này", "{path} is this node's own database", path=path),
            say("nêu tệp khác", "name another file"),
        )


_of_library: set[str] = set()


def check_secret_file(path: Path, closed_mask: int = OTHERS_MASK) -> None:
    """Refuse a secret file that is absent, no plain file, another account's, or (POSIX) open to group or others.

    On Windows the rights are set when the file is written and not examined again.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise KeyFileError(
            say("thiếu tệp {path}", "{path} is missing", path=path),
            say(
                "khôi phục từ bản sao lưu của máy; không thể tạo lại",
                "restore it from the node's backup; it cannot be made again",
            ),
        ) from error
    except OSError as error:
        raise translate_os_error(error, say("không xem được {path}", "cannot examine {path}", path=path)) from error
    if not path.is_file():
        raise KeyFileError(
            say("{path} không phải tệp thường", "{path} is not a plain file", path=path),
            say("đặt tệp khóa của máy vào đó", "put the node's key file there"),
        )
    if sys.platform != "win32":
        if found.st_mode & closed_mask:
            raise KeyFileError(
                say(
                    "tài khoản khác đọc được {path} (quyền {mode:o})",
                    "{path} can be read by other accounts (mode {mode:o})",
                    path=path,
                    mode=found.st_mode & 511,
                ),
                say("chạy: chmod 600 {path}", "run: chmod 600 {path}", path=path),
            )
        if found.st_uid not in (0, os.geteuid()):
            raise KeyFileError(
                say(
                    "{path} thuộc tài khoản khác (uid {uid})",
                    "{path} belongs to another account (uid {uid})",
                    path=path,
                    uid=found.st_uid,
                ),
                as_owner(path),
            )


def as_owner(path: Path) -> str:
    """What to type where `path` belongs to another account: its service needs it as it is. Empty where it is ours."""
    account = _other_owner(path)
    if not account:
        return ""
    return say(
        "chạy lệnh này bằng tài khoản của máy: sudo -u {account} syncd …",
        "run this as the node's own account: sudo -u {account} syncd …",
        account=account,
    )


def is_read_only_disk(path: Path) -> bool:
    """Whether the file system of `path` takes no writes."""
    return _is_read_only_disk(path)


def require_own_directory(path: Path) -> None:
    """Refuse to work in the directory of another account, as root too: what root writes there its service cannot."""
    remedy = as_owner(path)
    if remedy:
        raise PermissionDenied(
            say("thư mục {path} thuộc tài khoản khác", "the directory {path} belongs to another account", path=path),
            remedy,
        )


def fsync_directory(path: Path) -> None:
    """Make a rename inside `path` durable. Windows has no such call; NTFS journals the rename itself."""
    if sys.platform != "win32":
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def lock_file(path: Path, note: str = "") -> "FileLock":
    """Take the one-instance lock or raise `AlreadyRunning`. `note` tells others what for. It ends with
    `release()`, with the `with` block, or with the process.

    The file stays: removing it would let two processes lock two files of the same name.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, SECRET_FILE_MODE)
    except OSError as error:
        raise translate_os_error(
            error, say("không mở được khóa {path}", "cannot open the lock {path}", path=path)
        ) from error
    try:
        if not _try_lock(descriptor):
            raise AlreadyRunning(
                say(
                    "tiến trình khác ({holder}) đang giữ {path}",
                    "another process ({holder}) holds {path}",
                    holder=_read_holder(descriptor),
                    path=path,
                ),
                say(
                    "mỗi cơ sở dữ liệu một chương trình đồng bộ: chờ nó kết thúc, hoặc dừng nó trước",
                    "one daemon per database: wait for it to end, or stop it first",
                ),
            )
        _write_holder(descriptor, note)
    except OSError as error:
        os.close(descriptor)
        raise translate_os_error(error, say("không khóa được {path}", "cannot lock {path}", path=path)) from error
    except AlreadyRunning:
        os.close(descriptor)
        raise
    return FileLock(path, descriptor)


class FileLock:
    """A held lock. The descriptor is not inherited by programs started from here, so only this process holds it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def locale_language() -> str:
    """`vi` or `en`: the first of LANGUAGE, LC_ALL, LC_MESSAGES, LANG that is set; on Windows then the language of its
    screens.
    """
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "vi" if value.lower().split(":")[0].startswith("vi") else "en"
    return _system_language()


def translate_os_error(error: OSError, what: str) -> SyncdError:
    """The operating system's error as ours: `what` says what failed and where."""
    if error.errno == errno.ENOSPC:
        return DiskFull(
            say("{what}: đĩa đầy", "{what}: no space left", what=what),
            say(
                "giải phóng đĩa này; không mất gì đã ghi nhận",
                "free space on this disk; nothing that was acknowledged is lost",
            ),
        )
    if error.errno == errno.EROFS:
        return PermissionDenied(
            say("{what}: đĩa chỉ cho đọc", "{what}: the disk is read-only", what=what),
            say("gắn lại đĩa cho phép ghi, hoặc nêu nơi khác", "mount it for writing, or name another place"),
        )
    if isinstance(error, PermissionError):
        return PermissionDenied(
            say("{what}: không có quyền", "{what}: permission denied", what=what),
            when_denied(error.filename if isinstance(error.filename, str) else None),
        )
    return BY_ERRNO.get(error.errno or 0, OTHER).error(what=what, error=error.strerror or error)


def when_denied(denied: str | Path | None) -> str:
    """What to do for a file or a directory that was denied: its own account may open it to itself."""
    path = None if denied is None else Path(denied)
    while path is not None and not os.path.lexists(path) and path != path.parent:
        path = path.parent
    if path is not None and _is_ours(path):
        return say("chạy: chmod u+rwX {path}", "run: chmod u+rwX {path}", path=path)
    return say(
        "cấp quyền cho tài khoản này, hoặc nêu nơi khác", "give this account the right to it, or name another place"
    )


def hear_signals() -> dict[int, Any]:
    """From here on TERM and INT end the process with 0 wherever it is, and HUP is no end: the daemon starts, and takes
    over what was asked meanwhile. To be called on the main thread. Returns what heard them before.
    """
    numbers = [int(getattr(signal, name)) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
    return {number: signal.signal(number, _heard) for number in numbers}


def signals_heard() -> frozenset[int]:
    """What has come before the daemon itself listened."""
    return frozenset(_signals)


def _heard(number: int, _frame: FrameType | None) -> None:
    _signals.add(number)
    if number in (signal.SIGTERM, signal.SIGINT):
        raise SystemExit(0)


_signals: set[int] = set()


def watch_directory(path: Path) -> "DirectoryWatch | None":
    """What tells that a file in `path` was written; None where the system cannot tell, and the caller polls."""
    return _watch_directory(path)


class DirectoryWatch:
    """Waits for writes (Linux inotify). It is told of a write when it happens, which may be before its commit is
    visible.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._wake_read, self._wake_write = os.pipe()

    def wait(self, seconds: float) -> bool:
        """Whether something was written (or `wake` called) within `seconds`."""
        ready, _, _ = select.select([self._descriptor, self._wake_read], [], [], seconds)
        for descriptor in ready:
            os.read(descriptor, WATCH_BYTES)
        return bool(ready)

    def wake(self) -> None:
        """End a wait from another thread."""
        os.write(self._wake_write, b"x")

    def close(self) -> None:
        for descriptor in (self._descriptor, self._wake_read, self._wake_write):
            os.close(descriptor)


def raise_descriptor_limit(most: int) -> int:
    """Allow this process as many open files as its account may have, up to `most`; returns how many those are.

    The limit that a login gives (1 024) is meant for programs that use `select`, and ends a parent of 500 children.
    """
    return _raise_descriptor_limit(most)


def descriptor_limit() -> int:
    """How many files and connections this process may have open."""
    return _raise_descriptor_limit(0)


def share_memory(arenas_max: int) -> None:
    """Have all threads take their memory from so many places (glibc), before any of them runs."""
    _share_memory(arenas_max)


def return_memory() -> None:
    """Have the allocator give what was freed back to the system, where it would keep it for the next burst (glibc)."""
    _return_memory()


def return_all_memory() -> None:
    """The same after a burst: first what Python keeps for the next one, a few objects here and there, each of which
    holds a whole arena of them."""
    gc.collect()
    _return_memory()


def notify_supervisor(state: str) -> None:
    """Tell systemd (Type=notify) how we are: READY=1, WATCHDOG=1, STOPPING=1. Without a supervisor nothing happens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        _send_datagram(path, state)


def watchdog_s(environment: Mapping[str, str]) -> float | None:
    """How often the supervisor wants a sign of life: half of what it allows. None when it asks for none."""
    allowed_us = environment.get("WATCHDOG_USEC", "")
    return int(allowed_us) / 2_000_000 if allowed_us.isdigit() and int(allowed_us) else None


def _read_holder(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, LOCK_TEXT_BYTES_MAX).decode("ascii", "replace").split("\n")[0] or say(
        "không rõ số hiệu", "number unknown"
    )


def _write_holder(descriptor: int, note: str) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, f"pid {os.getpid()}\n{note}".rstrip().encode("ascii") + b"\n")


def _write_file(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        # A crash may have left one; O_EXCL then refuses to follow whatever someone else puts in its place.
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            _restrict(temporary, mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        fsync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):  # what is wrong with this place is said by the error under way
            temporary.unlink(missing_ok=True)
        raise translate_os_error(error, say("không ghi được {path}", "cannot write {path}", path=path)) from error


if sys.platform == "win32":
    import ctypes
    import msvcrt
    import subprocess

    PRIMARY_LANGUAGE_MASK = 0x3FF
    LANGUAGE_VIETNAMESE = 0x2A

    def _restrict(path: Path, mode: int) -> None:
        """Grant the file's owner, the system account and administrators; take what the directory above would add."""
        if mode & OTHERS_MASK:
            return
        inherit = "(OI)(CI)" if path.is_dir() else ""
        # Numbers, as Windows translates names: owner rights, the system account, administrators.
        grants = [f"*{sid}:{inherit}F" for sid in ("S-1-3-4", "S-1-5-18", "S-1-5-32-544")]
        command = ["icacls", str(path), "/inheritance:r", "/grant:r", *grants, "/q"]
        done = subprocess.run(command, check=False, capture_output=True)
        if done.returncode != 0:
            raise PermissionError(errno.EACCES, "icacls could not restrict the file", str(path))

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, LOCK_OFFSET_BYTES, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK):
                return False
            raise
        return True

    def _watch_directory(path: Path) -> DirectoryWatch | None:
        return None

    def _send_datagram(path: str, text: str) -> None:
        """No supervisor of this kind exists here."""

    def _return_memory() -> None:
        """Windows gives it back by itself."""

    def _share_memory(arenas_max: int) -> None:
        """Windows has one place for all."""

    def _raise_descriptor_limit(most: int) -> int:
        """Windows counts handles, not descriptors: 16 million of them."""
        return 65_536

    def _other_owner(path: Path) -> str:
        """Windows has lists of rights instead, and its own words for a denied one."""
        return ""

    def _is_ours(path: Path) -> bool:
        return False

    def _is_read_only_disk(path: Path) -> bool:
        return False

    def _system_language() -> str:
        language = ctypes.windll.kernel32.GetUserDefaultUILanguage() & PRIMARY_LANGUAGE_MASK
        return "vi" if language == LANGUAGE_VIETNAMESE else "en"

else:
    import fcntl
    import resource

    def _restrict(path: Path, mode: int) -> None:
        path.chmod(mode)

    def _try_lock(descriptor: int) -> bool:
        # flock, not lockf: a lockf lock ends when the process closes any other descriptor of the same file.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _system_language() -> str:
        return "en"

    def _other_owner(path: Path) -> str:
        """As sudo takes it; empty where the file is ours or cannot be examined."""
        import pwd

        try:
            uid = path.stat().st_uid
            return "" if uid == os.geteuid() else pwd.getpwuid(uid).pw_name
        except OSError:
            return ""
        except KeyError:
            return f"'#{uid}'"

    def _is_ours(path: Path) -> bool:
        return path.stat().st_uid == os.geteuid()

    def _is_read_only_disk(path: Path) -> bool:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)

    def _send_datagram(path: str, text: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
            try:
                messenger.sendto(text.encode("ascii"), "\0" + path[1:] if path.startswith("@") else path)
            except OSError:
                return  # a supervisor that does not listen is no reason to stop carrying data

    def _return_memory() -> None:
        trim = getattr(_c_library(), "malloc_trim", None)
        if trim is not None:
            trim(0)

    @cache
    def _c_library() -> Any:  # each handle made anew would be garbage in a cycle
        import ctypes

        return ctypes.CDLL(None)

    def _share_memory(arenas_max: int) -> None:
        choose = getattr(_c_library(), "mallopt", None)
        if choose is not None:
            choose(MALLOC_ARENA_MAX, arenas_max)

    def _raise_descriptor_limit(most: int) -> int:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft, hard = (UNLIMITED if limit == resource.RLIM_INFINITY else limit for limit in (soft, hard))
        wanted = min(most, hard)
        if soft < wanted:
            with suppress(OSError, ValueError):  # some systems allow less than they say
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
                soft = wanted
        return soft

    def _watch_directory(path: Path) -> DirectoryWatch | None:
        if not sys.platform.startswith("linux"):
            return None
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            return None  # the account's limit of watches is used up: polling does as well
        if library.inotify_add_watch(descriptor, os.fsencode(path), INOTIFY_MODIFY) < 0:
            os.close(descriptor)
            return None
        return DirectoryWatch(descriptor)
