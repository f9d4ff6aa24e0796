"""A bad line: transfers that break go on inside the envelope, and nothing is lost or taken twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import control, once
from syncd.errors import ParentUnreachable
from tests.faultproxy import Fault, FaultProxy
from tests.nodes import Nodes, TestNode
from tests.postgres import PostgresServer
from tests.waiting import until

ROWS = 1_500
CUT_BYTES = 40_000  # per connection, handshake included; far less than one envelope of ROWS
SEED = 7


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def root(request: pytest.FixtureRequest, nodes: Nodes, postgres_server: PostgresServer) -> TestNode:
    database = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_dsn")
    return nodes.root(database)


@pytest.fixture
def proxy(root: TestNode) -> Iterator[FaultProxy]:
    host, port = root.address.removeprefix("https://").split(":")
    made = FaultProxy((host, int(port)))
    yield made
    made.close()


def fill(node: TestNode) -> None:
    """Rows that do not pack well, in one transaction: one envelope."""
    source = random.Random(SEED)
    with node.opened().store.write("clerk") as tx:
        for number in range(1, ROWS + 1):
            address = source.randbytes(60).hex()
            tx.run("INSERT INTO household (number, kind, address) VALUES (?, 'family', ?)", (str(number), address))


def keeping(nodes: Nodes, root: TestNode, proxy: FaultProxy) -> TestNode:
    """A commune behind the proxy, in step with the root, its daemon not started."""
    commune = nodes.joined(root, "01", address=proxy.url)
    until(
        lambda: _exchanged(commune) and commune.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "it keeps its unit"
    )
    return commune


def _exchanged(commune: TestNode) -> bool:
    once.sync_once(commune.opened())
    return True


def test_interrupted_upload_goes_on_inside_the_envelope(nodes: Nodes, root: TestNode, proxy: FaultProxy) -> None:
    commune = keeping(nodes, root, proxy)
    fill(commune)
    proxy.cut()
    proxy.fault = Fault(cut_after_up=CUT_BYTES)
    with pytest.raises(ParentUnreachable, match="broke"):
        once.sync_once(commune.opened())
    kept = until(lambda: root.value("SELECT length(bytes) FROM syncd_partial"), "the beginning of the envelope is kept")
    assert CUT_BYTES / 2 < kept < CUT_BYTES
    assert root.value("SELECT count(*) FROM household") == 0

    commune.start()  # every connection is cut after CUT_BYTES still: only going on inside the envelope can ever end
    until(lambda: root.value("SELECT count(*) FROM household") == ROWS, "the group is at the root, whole", 60)
    assert proxy.cuts >= 3
    until(lambda: root.value("SELECT count(*) FROM syncd_partial") == 0, "nothing unfinished is left")


def test_interrupted_download_goes_on_inside_the_envelope(nodes: Nodes, root: TestNode, proxy: FaultProxy) -> None:
    commune = keeping(nodes, root, proxy)
    source = random.Random(SEED)
    top = root.opened().facts["unit_id"]
    with root.opened().store.write("units") as tx:
        for number in range(ROWS):
            name = source.randbytes(40).hex()
            tx.run(
                "INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'hamlet', ?, ?)", (top, f"h{number}", name)
            )
    until(lambda: root.value("SELECT count(*) FROM syncd_journal") == 0, "the root has written its envelope")
    proxy.cut()
    proxy.fault = Fault(cut_after_down=CUT_BYTES)
    commune.start()
    until(lambda: commune.value("SELECT count(*) FROM unit WHERE level = 'hamlet'") == ROWS, "all units have come", 60)
    assert proxy.cuts >= 2


def test_silent_and_slow_lines_only_delay(nodes: Nodes, root: TestNode, proxy: FaultProxy) -> None:
    commune = keeping(nodes, root, proxy)
    commune.start()
    proxy.fault = Fault(refuse=True)
    proxy.cut()
    commune.sql("INSERT INTO household (number, kind) VALUES ('1', 'family')")

    def error() -> object:
        picture = control.ask(commune.directory) or {"peers": {}}
        return [peer for peer in picture["peers"].values() if peer["last_error"]]

    until(error, "the station says that its parent does not answer")
    proxy.fault = Fault(delay_s=0.05)
    until(lambda: root.value("SELECT count(*) FROM household") == 1, "the row is at the root", 60)
