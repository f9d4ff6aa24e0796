"""Secret files, durable replacement, the one-instance lock, the language: the operating system as we promise it."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.errors import AlreadyRunning, DiskFull, KeyFileError, PermissionDenied, SyncdError
from syncd.security.identity import NodeKeys
from syncd.system import (
    check_secret_file,
    locale_language,
    lock_file,
    make_secret_directory,
    read_secret_file,
    translate_os_error,
    write_public_file,
    write_secret_file,
)

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps rights in access lists, not in modes")

HOLDER = """
import sys
from pathlib import Path
from syncd.system import lock_file
lock = lock_file(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix_only
def test_keys_are_0600_in_a_0700_directory_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        NodeKeys.generate().save(tmp_path / "node")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "node") == 0o700
    assert {mode_of(path) for path in (tmp_path / "node").iterdir()} == {0o600}


@posix_only
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_secret_open_to_others_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    write_secret_file(path, b"x")
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:o}") as caught:
        read_secret_file(path, 10)
    assert caught.value.hint == f"run: chmod 600 {path}"


if sys.platform != "win32":

    def test_secret_of_another_account_is_refused(tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        path = tmp_path / "secret"
        write_secret_file(path, b"x")
        os.chown(path, 12345, 12345)
        with pytest.raises(KeyFileError, match="uid 12345"):
            check_secret_file(path)


def test_write_replaces_whole_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    (tmp_path / ".secret.new").write_bytes(b"left by a crash")
    write_secret_file(path, b"first")
    write_secret_file(path, b"second")
    assert read_secret_file(path, 10) == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


@posix_only
def test_write_does_not_follow_a_planted_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    (tmp_path / ".secret.new").symlink_to(victim)
    write_secret_file(tmp_path / "secret", b"key")
    assert victim.read_bytes() == b"kept"


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()
    (path / "inside").write_bytes(b"kept")
    with pytest.raises(SyncdError, match="cannot write"):
        write_public_file(path, b"a file cannot replace a directory")
    assert [entry.name for entry in tmp_path.iterdir()] == ["directory"]
    assert (path / "inside").read_bytes() == b"kept"


def test_write_into_a_missing_directory_is_an_error_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(SyncdError, match="nowhere"):
        write_secret_file(tmp_path / "nowhere" / "secret", b"x")


def test_large_or_odd_secret_is_refused(tmp_path: Path) -> None:
    write_secret_file(tmp_path / "secret", b"12345")
    with pytest.raises(KeyFileError, match="more than 4 bytes"):
        read_secret_file(tmp_path / "secret", 4)
    with pytest.raises(KeyFileError, match="not a plain file"):
        check_secret_file(tmp_path)
    with pytest.raises(KeyFileError, match="missing"):
        check_secret_file(tmp_path / "absent")


def test_directory_under_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SyncdError, match="cannot create"):
        make_secret_directory(tmp_path / "file" / "below")


def test_system_errors_become_ours() -> None:
    assert isinstance(translate_os_error(OSError(28, "No space left"), "cannot write x"), DiskFull)
    assert isinstance(translate_os_error(PermissionError(13, "no"), "cannot read x"), PermissionDenied)
    assert str(translate_os_error(OSError(71, "Protocol error"), "cannot read x")).startswith("cannot read x: Protocol")


@pytest.mark.parametrize(
    ("number", "kind", "said", "remedy"),
    [
        (errno.EDQUOT, DiskFull, "hạn mức đĩa", "xin tăng hạn mức"),
        (errno.EFBIG, SyncdError, "lớn quá mức", "ulimit -f"),
        (errno.EIO, SyncdError, "không đọc hoặc ghi được", "dmesg"),
        (errno.ENOENT, SyncdError, "không có tệp", "đường dẫn"),
        (errno.ENOTDIR, SyncdError, "không phải thư mục", "đường dẫn"),
        (errno.EISDIR, SyncdError, "là thư mục", "đường dẫn"),
        (errno.ENAMETOOLONG, SyncdError, "quá dài", "ngắn hơn"),
        (errno.ELOOP, SyncdError, "vòng tròn", "đường dẫn"),
    ],
    ids=lambda value: errno.errorcode.get(value) if isinstance(value, int) else None,
)
def test_numbers_of_the_system_are_told_in_vietnamese_with_their_own_remedy(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[SyncdError], said: str, remedy: str
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    told = translate_os_error(OSError(number, os.strerror(number)), "không ghi được x")
    assert isinstance(told, kind)
    assert said in str(told)
    assert remedy in str(told)
    assert os.strerror(number) not in str(told)


def test_second_process_is_excluded_until_the_first_dies(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        if holder.stdout is None:
            pytest.fail("no pipe")
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning, match=f"pid {holder.pid}") as caught:
            lock_file(path)
        assert caught.value.exit_code == 75
        holder.kill()
        holder.wait()
        with lock_file(path):
            assert path.read_text(encoding="ascii") == f"pid {os.getpid()}\n"


def test_same_process_cannot_lock_twice_and_can_again_after_release(tmp_path: Path) -> None:
    first = lock_file(tmp_path / "lock")
    with pytest.raises(AlreadyRunning):
        lock_file(tmp_path / "lock")
    first.release()
    first.release()
    lock_file(tmp_path / "lock").release()


def test_lock_in_a_missing_directory_says_where(tmp_path: Path) -> None:
    with pytest.raises(SyncdError, match="nowhere"):
        lock_file(tmp_path / "nowhere" / "lock")


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "vi_VN.UTF-8"}, "vi"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "vi_VN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C", "LANGUAGE": "vi:en"}, "vi"),
        ({}, "en"),
    ],
)
def test_language_follows_the_locale(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], language: str) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert locale_language() == language
