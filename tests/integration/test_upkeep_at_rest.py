"""A day's upkeep of a register at rest: all of it is read, compared and counted, and nothing reaches the disk."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schema.spec import Kind
from syncd import limits
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.node_files import OpenNode, open_node
from syncd.recovery.contents import compare, own_streams
from syncd.recovery.replay import Replay
from syncd.upkeep import run as upkeep

PERSONS = 300
PEOPLE = f"""
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PERSONS})
    INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence)
    SELECT 'Người thử số ' || i, 1 + i % 2, '1980-02-03', 'd', '01', 'usual' FROM n
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenNode]:
    """A root whose register is sealed and compared once."""
    directory = tmp_path_factory.mktemp("node")
    init_root(directory, Unit(code="42", name="Tỉnh thử", level="province"), Config(database="sqlite"))
    found = open_node(directory)
    with found.store.write("clerk") as tx:
        tx.run(PEOPLE)
    found.node.write()
    found.node.checkpoint()
    upkeep(found, found.config)
    yield found
    found.close()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files come that are made for a while."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def unwritable_files() -> Iterator[None]:
    """Every write to a file of a disk by this process fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_days_upkeep_of_a_node_at_rest_writes_to_no_file(opened: OpenNode, scratch: Path) -> None:
    def files() -> dict[str, tuple[int, int]]:
        found = (path for path in opened.directory.iterdir() if path.suffix != ".db-shm")
        return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}

    before = files()
    with unwritable_files():
        upkeep(opened, opened.config)
    assert opened.node.barriers.next_due_s is None  # nothing failed, to be tried again
    assert files() == before
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(("cache_kib", "is_in_file"), [(limits.COMPARE_CACHE_KIB, False), (16, True)])
def test_only_a_log_that_outgrows_the_cache_reaches_a_scratch_file(
    opened: OpenNode, scratch: Path, monkeypatch: pytest.MonkeyPatch, cache_kib: int, is_in_file: bool
) -> None:
    monkeypatch.setattr(limits, "COMPARE_CACHE_KIB", cache_kib)
    with opened.store.read() as tx:
        (at,) = [each for each in own_streams(tx) if each.kind == Kind.REGISTER]
        with Replay(tx, opened.node.applier, at) as replay:
            assert not any(compare(tx, replay, at))
            assert replay.count(opened.store.registry.by_name["person"]) == PERSONS
            written = b"".join(path.read_bytes() for path in scratch.rglob("*") if path.is_file())
    assert bool(written) is is_in_file
    assert "Người thử".encode() not in written
    assert not list(scratch.iterdir())
