"""Backups: what is in one, who may open it, what is refused, and that the restored node is the one backed up."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from syncd import backup_file, enrolment, limits
from syncd.backup import SUFFIX, back_up, find_backup, remove_older
from syncd.config import Config, load_config, write_config
from syncd.errors import (
    AlreadyRunning,
    ConfigError,
    DiskFull,
    FileRefused,
    KeyFileError,
    PermissionDenied,
    SyncdError,
)
from syncd.node_files import OpenNode, open_node
from syncd.restore import restore, restore_keys
from syncd.system import translate_os_error
from tests.nodes import ROOT_UNIT, Nodes
from tests.postgres import PostgresServer

PERSON = (
    "INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence)"
    " VALUES (?, 1, '1980-02-29', 'd', '01', 'usual')"
)


@pytest.fixture(params=["sqlite", "postgres"])
def root(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[OpenNode]:
    """A root on disk with some rows, its daemon not started."""
    database = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_dsn")
    directory = tmp_path / "root"
    enrolment.init_root(directory, ROOT_UNIT, Config(database=database))
    opened = open_node(directory)
    with opened.store.write("clerk") as tx:
        for name in ("Nguyễn Thị Bưởi", "Trần Văn Đức\t\\N", "Lê 'Ngọc' \"Ánh\"\nhai"):
            tx.run(PERSON, (name,))
    opened.node.write(checkpoints=True)
    with opened.store.write("clerk") as tx:
        tx.run(PERSON, ("Chưa vào nhật ký",))  # committed, not sequenced: it is in the backup too
    yield opened
    opened.close()


@pytest.fixture
def fresh_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    dsn = postgres_server.create_database()
    yield dsn
    postgres_server.drop_database(dsn)


def everything(opened: OpenNode) -> dict[str, list[Any]]:
    """All that a restored node must have as it was."""
    with opened.store.read() as tx:
        found = {
            table.name: tx.all(f"SELECT {', '.join(c.name for c in table.all_columns)} FROM {table.name} ORDER BY id")
            for table in opened.store.registry
        }
        found["log"] = tx.all(
            "SELECT stream_id, seq, mark, hash, rows, envelope FROM syncd_log ORDER BY stream_id, seq"
        )
        found["streams"] = tx.all("SELECT stream_id, held_seq, applied_seq, own FROM syncd_stream ORDER BY stream_id")
        found["cells"] = tx.all("SELECT unit_id, sex, month, ethnic, residence, n FROM syncd_cell_stock ORDER BY month")
        found["journal"] = tx.all("SELECT tab, op, row_id, unit_id FROM syncd_journal ORDER BY n")
        return found


def test_a_folder_that_cannot_even_be_tidied_up_is_told_by_what_was_wrong_first(tmp_path: Path) -> None:
    """As on a disk that is read-only: neither can the file be made, nor what is left of it removed."""
    enrolment.init_root(tmp_path / "root", ROOT_UNIT, Config())
    opened = open_node(tmp_path / "root", clock=lambda: 1_800_000_000_000)
    try:  # a backup is named by its time, and this clock stands
        name = back_up(opened.node, opened.directory, tmp_path / "first").path.name
        (tmp_path / "stick" / f".{name}.partial" / "in the way").mkdir(parents=True)
        with pytest.raises(SyncdError, match=r"\.partial"):
            back_up(opened.node, opened.directory, tmp_path / "stick")
    finally:
        opened.close()


def test_a_read_only_disk_is_named() -> None:
    error = translate_os_error(OSError(errno.EROFS, "Read-only file system"), "no")
    assert isinstance(error, PermissionDenied)
    assert "read-only" in error.english


def test_a_restored_node_is_the_node_that_was_backed_up(root: OpenNode, tmp_path: Path, fresh_dsn: str) -> None:
    made = back_up(root.node, root.directory, tmp_path / "stick")
    wanted = everything(root)
    assert wanted["journal"]
    target, key = tmp_path / "new", root.directory / "exchange.key"
    done = restore(made.path, target, key, database=None if root.config.is_sqlite else fresh_dsn)
    assert done.node_id == root.node.node_id
    again = open_node(target)
    try:
        assert everything(again) == wanted
        assert again.facts["restored_at"]
        assert again.node.write() == 1  # what had not been sequenced is sequenced there, once
        assert again.node.write() == 0
        with again.store.write("clerk") as tx:
            tx.run(PERSON, ("Mới",))  # captured by the restored triggers
        assert again.node.write() == 1
    finally:
        again.close()


def test_a_backup_goes_from_one_kind_of_database_to_the_other(root: OpenNode, tmp_path: Path, fresh_dsn: str) -> None:
    made = back_up(root.node, root.directory, tmp_path / "stick")
    wanted = everything(root)
    other = fresh_dsn if root.config.is_sqlite else "sqlite"
    restore(made.path, tmp_path / "new", root.directory / "exchange.key", database=other)
    again = open_node(tmp_path / "new")
    try:
        assert everything(again) == wanted
    finally:
        again.close()


def test_recovery_key_opens_every_backup_and_another_nodes_key_none(root: OpenNode, tmp_path: Path) -> None:
    made = back_up(root.node, root.directory, tmp_path / "stick")
    enrolment.init_root(tmp_path / "stranger", ROOT_UNIT, Config())
    with pytest.raises(KeyFileError):
        restore(made.path, tmp_path / "new", tmp_path / "stranger" / "exchange.key")
    assert not (tmp_path / "new").exists()
    with pytest.raises(KeyFileError, match="--key"):
        restore(made.path, tmp_path / "new")
    if root.config.is_sqlite:
        restore(made.path, tmp_path / "new", root.directory / "recovery.key")
        assert (tmp_path / "new" / "signing.key").read_bytes() == (root.directory / "signing.key").read_bytes()
        assert not (tmp_path / "new" / "recovery.key").exists()


def test_nothing_of_a_row_or_key_lies_open_in_the_file(root: OpenNode, tmp_path: Path) -> None:
    made = back_up(root.node, root.directory, tmp_path / "stick")
    data = made.path.read_bytes()
    assert "Nguyễn".encode() not in data
    assert (root.directory / "signing.key").read_bytes()[30:60] not in data
    assert made.path.stat().st_mode & 0o077 == 0


def test_a_cut_or_altered_backup_is_refused_and_the_target_stays_untouched(root: OpenNode, tmp_path: Path) -> None:
    made = back_up(root.node, root.directory, tmp_path / "stick")
    data, key = made.path.read_bytes(), root.directory / "exchange.key"
    ends = [int(len(data) * share) for share in (0.3, 0.6, 0.9)]
    cases = [
        data[:-1],
        data + b"\0",
        *(data[:end] for end in ends),
        *(_flipped(data, end) for end in ends),
        b"",
        b"x" * 99,
    ]
    for number, bad in enumerate(cases):
        path = tmp_path / f"bad{number}{SUFFIX}"
        path.write_bytes(bad)
        with pytest.raises((FileRefused, KeyFileError)):
            restore(path, tmp_path / "new", key)
        assert not (tmp_path / "new").exists(), number


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_a_frame_moved_within_its_file_is_refused(root: OpenNode, tmp_path: Path) -> None:
    made = back_up(root.node, root.directory, tmp_path / "stick")
    data = made.path.read_bytes()
    start = len(backup_file.MAGIC) + 4 + int.from_bytes(data[8:12], "big")
    frames, place = [], start
    while place < len(data):
        size = 4 + int.from_bytes(data[place : place + 4], "big")
        frames.append(data[place : place + size])
        place += size
    for order in ([frames[1], frames[0], *frames[2:]], frames[:-1], [*frames[:-2], frames[-1]]):
        made.path.write_bytes(data[:start] + b"".join(order))
        with pytest.raises(FileRefused):
            restore(made.path, tmp_path / "new", root.directory / "exchange.key")


def test_a_restored_node_seals_nothing_before_its_parent_has_answered(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    try:
        root = nodes.root()
        commune = nodes.joined(root, "01")
        made = back_up(commune.opened().node, commune.directory, tmp_path / "stick")
        restore(made.path, tmp_path / "new", commune.directory / "exchange.key")
        again = open_node(tmp_path / "new")
        try:
            assert again.node.rejoin.awaits_answer
            assert again.node.awaited.children() == []
        finally:
            again.close()
        made = back_up(root.opened().node, root.directory, tmp_path / "stick of the root")
        restore(made.path, tmp_path / "new root", root.directory / "exchange.key")
        again = open_node(tmp_path / "new root")
        try:
            assert again.node.awaited.children() == [commune.opened().node.node_id]
        finally:
            again.close()
    finally:
        nodes.close()


def test_what_is_there_is_never_overwritten(root: OpenNode, tmp_path: Path) -> None:
    made = back_up(root.node, root.directory, tmp_path / "stick")
    wanted = everything(root)
    with pytest.raises(ConfigError):
        restore(made.path, root.directory)
    with pytest.raises(ConfigError):
        restore_keys(made.path, root.directory)
    enrolment.init_root(tmp_path / "stranger", ROOT_UNIT, Config())
    with pytest.raises(ConfigError):
        restore(made.path, tmp_path / "stranger", root.directory / "exchange.key", database="sqlite")
    assert everything(root) == wanted


def test_the_same_directory_takes_its_database_back_when_it_is_gone(root: OpenNode, tmp_path: Path) -> None:
    made = back_up(root.node, root.directory, tmp_path / "stick")
    wanted = everything(root)
    root.close()
    for path in root.directory.glob("syncd.db*"):
        path.unlink()
    # Its own exchange.key is there; of the folder the newest. A lost server is replaced by the embedded database.
    restore(tmp_path / "stick", root.directory, database="sqlite")
    again = open_node(root.directory)
    try:
        assert everything(again) == wanted
    finally:
        again.close()
    assert made.path == find_backup(tmp_path / "stick")


def test_a_daemon_at_the_target_keeps_it(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    try:
        root = nodes.root()
        made = back_up(root.opened().node, root.directory, tmp_path / "stick")
        with pytest.raises(AlreadyRunning):
            restore(made.path, root.directory)
    finally:
        nodes.close()


def test_a_full_disk_leaves_no_half_backup(root: OpenNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stick"

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("syncd.backup_file.os.fsync", full)
        with pytest.raises(DiskFull):
            back_up(root.node, root.directory, folder)
    assert list(folder.iterdir()) == []
    with root.store.read() as tx:
        assert tx.value("SELECT 1 FROM syncd_meta WHERE key = 'last_backup_at'") is None


def test_what_is_read_back_differently_is_no_backup(
    root: OpenNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One value that reaches the file otherwise than the database has it."""
    plain = backup_file.encode

    def encode(record: backup_file.Record) -> bytes:
        return plain(record).replace("Trần".encode(), "Trấn".encode())

    monkeypatch.setattr("syncd.backup.backup_file.encode", encode)
    with pytest.raises(FileRefused):
        back_up(root.node, root.directory, tmp_path / "stick")
    assert list((tmp_path / "stick").iterdir()) == []


def test_long_rows_are_split_into_records_that_are_read_again(
    root: OpenNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BACKUP_BLOCK_BYTES", 100)
    made = back_up(root.node, root.directory, tmp_path / "stick")
    assert made.rows > 10


def test_a_backup_of_another_release_is_refused(
    root: OpenNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.backup.database_revision", lambda _tx: "0000")
    made = back_up(root.node, root.directory, tmp_path / "stick")
    with pytest.raises(ConfigError, match="0000"):
        restore(made.path, tmp_path / "new", root.directory / "exchange.key", database="sqlite")
    assert not (tmp_path / "new" / "syncd.db").exists()


def test_only_the_newest_backups_are_kept_when_asked(root: OpenNode, tmp_path: Path) -> None:
    folder = tmp_path / "stick"
    made = [back_up(root.node, root.directory, folder) for _ in range(4)]
    (folder / f"other{SUFFIX}").write_bytes(b"something else")
    assert set(remove_older(made[-1], 2)) == {made[0].path, made[1].path}
    assert made[3].path.exists()
    assert (folder / f"other{SUFFIX}").exists()


def test_tables_of_other_programs_are_named(root: OpenNode, tmp_path: Path) -> None:
    with root.store.write("other") as tx:
        tx.run("CREATE TABLE vaccination (id int)")
    assert back_up(root.node, root.directory, tmp_path / "stick").left_out == ("vaccination",)


def test_settings_of_the_backup_are_those_of_the_restored_node(root: OpenNode, tmp_path: Path, fresh_dsn: str) -> None:
    write_config(root.directory, changed(root.config, name="Tỉnh X", poll_ms=77))
    made = back_up(root.node, root.directory, tmp_path / "stick")
    other = fresh_dsn if root.config.is_sqlite else "sqlite"
    restore(made.path, tmp_path / "new", root.directory / "exchange.key", database=other)
    config = load_config(tmp_path / "new", {})
    assert (config.name, config.poll_ms, config.database) == ("Tỉnh X", 77, other)
    assert os.stat(tmp_path / "new").st_mode & 0o077 == 0
