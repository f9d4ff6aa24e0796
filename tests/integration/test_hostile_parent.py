"""Whatever a parent answers, its child goes on: an error of ours, within a bound of bytes and of time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import limits
from syncd.errors import SyncdError
from syncd.exchange import Link
from syncd.net.client import ParentClient
from syncd.security import tls
from syncd.security.tls import TlsFiles
from tests.hostile import ANSWERS, HostileParent
from tests.nodes import Nodes, TestNode
from tests.waiting import WAIT_S_MAX, until

ANSWER_S = 0.5  # in these tests: how long an answer may take
TAKEN_MAX = 2 * limits.PULL_ANSWER_BYTES_MAX + 16 * limits.MIB  # what sockets hold comes on top
GIVEN = ("bad UTF-8 in an error", "a cookie", "more frames than stated", "no HTTP", "an answer without end")


@pytest.fixture(scope="module")
def commune(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestNode]:
    """A commune whose parent has stopped; its parent's files lie in `root` beside it."""
    nodes = Nodes(tmp_path_factory.mktemp("hostile"))
    root = nodes.root()
    made = nodes.joined(root, "01")
    root.stop()
    yield made
    nodes.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXCHANGE_S_MAX", ANSWER_S)


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("path", ["hello", "pull"])
@pytest.mark.usefixtures("quick")
def test_an_answer_is_taken_or_ends_with_our_error(commune: TestNode, name: str, path: str) -> None:
    parent = HostileParent(commune.directory.parent / "root", 0, lambda: name)
    opened = commune.opened()
    assert opened.parent_id is not None
    client = ParentClient([parent.url], tls.client_context(TlsFiles.in_directory(commune.directory)), opened.parent_id)
    began = time.monotonic()
    try:
        _ask(client, Link(opened.node, opened.parent_id), path)
    finally:
        client.close()
        parent.close()
    assert parent.given[name] >= 1
    assert parent.sent[name] < TAKEN_MAX
    assert time.monotonic() - began < WAIT_S_MAX  # the machine may be busy; without a bound it takes for ever
    assert not any(b"cookie" in head.lower() for head in parent.heads)


def _ask(client: ParentClient, link: Link, path: str) -> None:
    try:
        if path == "hello":
            now = 1_790_000_000_000
            link.take_hello(client.hello(link.hello()), now, now)
        else:
            pulled = client.pull(link.pull(0), link)
            link.take_pull(pulled.reply, pulled.envelopes, pulled.unfinished)
    except SyncdError:
        return


def test_a_daemon_outlives_every_answer(commune: TestNode, tmp_path: Path) -> None:
    """A few, for it waits longer after each; how the others end is shown above."""
    names = itertools.cycle(GIVEN)
    port = int(commune.config.parent_urls[0].rsplit(":", 1)[1])
    parent = HostileParent(commune.directory.parent / "root", port, lambda: next(names))
    try:
        commune.start()
        until(lambda: len(parent.given) == len(GIVEN) or None, "all answers were given", 60)
        assert commune.process is not None
        assert commune.process.poll() is None
    finally:
        code = commune.stop()
        parent.close()
    assert code == 0
    assert " bug " not in commune.log
