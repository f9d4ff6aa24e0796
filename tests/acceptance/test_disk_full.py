"""A full disk: the writer's transaction fails cleanly, nothing acknowledged is lost, the daemon says so and goes on by
itself once there is space.

Shown for everybody with SQLite's own page limit, over the real store; and on a small disk (a tmpfs mounted by the test,
which needs root) under real daemons, over SQLite at a station and PostgreSQL at the province.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2 as sqlite

from syncd import limits
from syncd.clock import system_clock
from syncd.control import ask
from syncd.errors import DiskFull
from syncd.node_files import open_node
from syncd.reserve import RESERVE_FILE, Reserve
from syncd.store.sqlite import SqliteStore
from tests.acceptance.pairs import Pair
from tests.acceptance.processes import Station, Tree
from tests.acceptance.writers import open_plain
from tests.postgres import PostgresServer
from tests.waiting import until

MIB = 1024 * 1024
STATION_DISK_MIB = 16
SERVER_DISK_MIB = 160
BALLAST = "ballast"
LEFT_BYTES = 40_000  # what the test leaves free: less than a transaction of ours needs

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="mounting a small disk needs root; the page limit above shows the same rules to everybody"
)


# --- with SQLite's page limit ----------------------------------------------------------------------------------------


def test_writer_without_space_fails_cleanly_and_what_was_acknowledged_arrives(pair: Pair) -> None:
    pair.type(3)
    connection = open_plain(pair.commune.directory)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    connection.execute("BEGIN IMMEDIATE")
    numbers = [(str(1000 + number),) for number in range(10_000)]
    with pytest.raises(sqlite.OperationalError, match="full"):
        connection.executemany("INSERT INTO household (number, kind) VALUES (?, 'family')", numbers)
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.close()
    pair.type(1)  # a program that has space goes on
    pair.finish()


def test_daemon_without_space_raises_75_keeps_the_journal_and_gives_the_reserve_back(pair: Pair) -> None:
    pair.type(400)
    directory = pair.commune.directory
    reserve = Reserve(directory, system_clock)
    reserve.regain()
    opened = open_node(directory)
    assert isinstance(opened.store, SqliteStore)
    opened.store.when_full = reserve.give_back
    waiting = pair.commune.one("SELECT count(*) FROM syncd_journal")
    writer = opened.store._writer
    assert writer is not None
    writer.execute(f"PRAGMA max_page_count = {writer.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(DiskFull, match="free disk space") as caught:
        opened.node.write()
    assert caught.value.exit_code == 75
    assert pair.commune.one("SELECT count(*) FROM syncd_journal") >= waiting
    assert not (directory / RESERVE_FILE).exists()
    writer.execute("PRAGMA max_page_count = 1000000")
    assert opened.node.write() >= 400  # the households, and the grants of their new stream
    opened.close()
    reserve.regain()
    assert (directory / RESERVE_FILE).stat().st_size == limits.RESERVE_BYTES
    pair.finish()


def test_reserve_is_written_once_and_only_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = Reserve(tmp_path, system_clock)
    reserve.begin()
    first = (tmp_path / RESERVE_FILE).stat()
    reserve.regain()
    Reserve(tmp_path, system_clock).begin()
    assert (tmp_path / RESERVE_FILE).stat() == first
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(limits, "START_BYTES", free * 2)
    late = Reserve(tmp_path, system_clock)
    late.begin()
    assert not (tmp_path / RESERVE_FILE).exists(), "a start on a full disk gives the reserve back first"
    assert late.full_since is not None


# --- on a small disk -------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", STATION_DISK_MIB) as folder:
        yield folder


@needs_root
def test_station_with_a_full_disk_delivers_what_it_acknowledged_and_recovers(pair: Pair, small_disk: Path) -> None:
    station = moved(pair.tree, pair.commune, small_disk)
    pair.commune = station
    pair.province.start()
    station.start()
    until(lambda: (station.directory / RESERVE_FILE).exists(), "the reserve is made")
    fill(small_disk)
    refused = type_until_full(pair)
    assert "full" in refused
    until(lambda: picture(station).get("disk_full_since"), "the daemon says that the disk is full")
    shown = station.command("status")
    assert "the disk is full" in shown.stdout, shown.stdout + shown.stderr
    assert "free disk space" in shown.stdout
    assert station.command("status", "--check").returncode == 2
    until(lambda: at_province(pair) == len(pair.names), "what was acknowledged is at the province, the disk still full")
    (small_disk / BALLAST).unlink()
    until(lambda: picture(station)["disk_full_since"] is None, "the daemon has found space")
    assert (station.directory / RESERVE_FILE).stat().st_size == limits.RESERVE_BYTES
    pair.type(5)
    until(lambda: at_province(pair) == len(pair.names), "the station goes on")
    assert station.stop() == 0
    pair.finish()


@needs_root
def test_station_starts_on_a_full_disk_and_delivers(pair: Pair, small_disk: Path) -> None:
    """A power cut while the disk was full: opening the database needs space itself, which the reserve gives."""
    station = moved(pair.tree, pair.commune, small_disk)
    pair.commune = station
    pair.province.start()
    station.start()
    until(lambda: (station.directory / RESERVE_FILE).exists(), "the reserve is made")
    station.kill()
    fill(small_disk, left_bytes=1_500_000)
    assert "full" in type_until_full(pair)
    fill(small_disk, left_bytes=0)
    station.start()
    until(lambda: at_province(pair) == len(pair.names) > 1000, "what was acknowledged is at the province")
    (small_disk / BALLAST).unlink()
    assert station.stop() == 0
    pair.finish()


@needs_root
def test_province_with_a_full_postgresql_says_so_and_the_child_waits(tmp_path: Path) -> None:
    with (
        searchable_folder() as folder,
        mounted(folder / "disk", SERVER_DISK_MIB) as disk,
        PostgresServer.start(disk / "data", {"max_wal_size": "64MB", "min_wal_size": "32MB"}) as server,
        contextlib.closing(Tree(tmp_path)) as tree,
    ):
        province = tree.root(server.create_database(), {"": ["42501"]})
        commune = tree.join(province, "42501")
        commune.start()
        tree.keeps(commune)
        pair = Pair(tree=tree, province=province, commune=commune, spare_token="")
        pair.type(10)
        until(lambda: at_province(pair) == 10, "the first rows arrive")
        fill(disk, left_bytes=0)
        while not told_full(commune):
            pair.type(400)
        until(lambda: "free disk space" in commune.command("status").stdout, "status says that the parent is full")
        (disk / BALLAST).unlink()
        until(lambda: at_province(pair) == len(pair.names), "everything arrives once there is space", 60)
        tree.rest()
        assert commune.stop() == 0
        pair.finish()


# --- helpers ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(folder: Path, size_mib: int) -> Iterator[Path]:
    """A disk of its own, `size_mib` large."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0755", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def searchable_folder() -> Iterator[Path]:
    """The server does not run as root, and pytest's own folders are closed to others."""
    with tempfile.TemporaryDirectory(prefix="syncd-disk-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def fill(disk: Path, left_bytes: int = LEFT_BYTES) -> None:
    """A file that takes all space but `left_bytes`."""
    with (disk / BALLAST).open("ab") as ballast, contextlib.suppress(OSError):
        while (free := shutil.disk_usage(disk).free) > left_bytes:
            ballast.write(bytes(min(free - left_bytes, MIB)))
            ballast.flush()


def type_until_full(pair: Pair) -> str:
    """Transactions of a clerk until one finds no space; what the database said. Acknowledged ones are in `names`."""
    for _ in range(500):
        try:
            pair.type(20)
        except sqlite.OperationalError as error:
            return str(error)
    raise AssertionError("the disk never became full")


def moved(tree: Tree, station: Station, directory: Path) -> Station:
    """The station on another disk; its log and what the test watches stay outside."""
    shutil.copytree(station.directory, directory, dirs_exist_ok=True)
    tree.stations.remove(station)
    return tree.adopt(directory)


def picture(station: Station) -> dict[str, object]:
    return ask(station.directory) or {}


def at_province(pair: Pair) -> int:
    return int(pair.province.one("SELECT count(*) FROM household"))


def told_full(commune: Station) -> bool:
    peers = picture(commune).get("peers")
    return isinstance(peers, dict) and any("no space left" in str(peer["last_error"]) for peer in peers.values())
