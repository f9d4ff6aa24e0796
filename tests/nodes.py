"""Real nodes for tests: directories made by init and join, daemons as processes of their own.

Enters: a folder. Leaves: nodes to write into, look into, start, stop and kill; everything started is ended by `close`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from syncd import admission, control, enrolment
from syncd.admission import TokenKind, Way
from syncd.config import Config, load_config, write_config
from syncd.node_files import OpenNode, open_node
from tests import forking
from tests.forking import Forked
from tests.waiting import WAIT_S_MAX, until

LISTEN = "127.0.0.1:0"
ROOT_UNIT = enrolment.Unit(code="42", name="Tỉnh thử", level="province")
END_S_MAX = WAIT_S_MAX


@dataclass
class TestNode:
    """One node on disk. `address`: where its children reach it while its daemon runs."""

    __test__ = False

    directory: Path
    process: Forked | subprocess.Popen[bytes] | None = None
    address: str = ""
    is_forked: bool = True  # its memory is shared with a process that has all of the program loaded
    _opened: list[OpenNode] = field(default_factory=list)

    @property
    def log(self) -> str:
        path = self.directory.with_suffix(".log")
        return path.read_text() if path.exists() else ""

    @property
    def config(self) -> Config:
        return load_config(self.directory, {})

    def configure(self, **settings: Any) -> None:
        write_config(self.directory, replace(self.config, **settings))

    def opened(self) -> OpenNode:
        """The node as another program beside the daemon opens it; one per test."""
        if not self._opened:
            self._opened.append(open_node(self.directory))
        return self._opened[0]

    def sql(self, statement: str, *values: Any) -> None:
        with self.opened().store.write("clerk") as tx:
            tx.run(statement, values)

    def value(self, query: str, *values: Any) -> Any:
        with self.opened().store.read() as tx:
            return tx.value(query, values)

    def start(self, **environment: str) -> None:
        """Start the daemon and wait until it answers; fails with its log when it does not."""
        self.spawn(environment)
        picture = until(self._answers, f"the daemon of {self.directory.name} runs\n{self.log}")
        self.address = f"https://{picture['listen']}" if picture["listen"] else ""

    def spawn(self, environment: Mapping[str, str]) -> None:
        module, arguments, described = "tests.daemon_process", [str(self.directory)], {**os.environ, **environment}
        with self.directory.with_suffix(".log").open("ab") as log:
            if self.is_forked:
                self.process = forking.start(module, arguments, described, stdout=log, stderr=log)
            else:
                command = [sys.executable, "-m", module, *arguments]
                self.process = subprocess.Popen(command, stdout=log, stderr=log, env=described)

    def _answers(self) -> dict[str, Any] | None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}\n{self.log}")
        picture = control.ask(self.directory)
        return picture if picture and picture["pid"] == self.process.pid else None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the daemon; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(END_S_MAX)
        self.process = None
        return code

    def token(self, unit_code: str, kind: TokenKind = TokenKind.LEAF, address: str = "", valid_s: int = 3600) -> str:
        """A token for a child."""
        way = Way(addresses=(address or self.address,), ca_pem=(self.directory / "ca.crt").read_text())
        return admission.make_token(self.opened().node, unit_code, kind, way, valid_s, os.urandom)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(END_S_MAX)
        for each in self._opened:
            each.close()


class Nodes:
    """The nodes of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[TestNode] = []

    def root(self, database: str = "sqlite", **settings: Any) -> TestNode:
        """A running root with two communes, 01 and 02, and a district 03 with commune 04 below its unit."""
        node = self._new("root")
        enrolment.init_root(node.directory, ROOT_UNIT, Config(database=database, listen=LISTEN, **settings))
        self._units(node)
        node.start()
        return node

    def joined(
        self, parent: TestNode, unit_code: str, kind: TokenKind = TokenKind.LEAF, address: str = "", **settings: Any
    ) -> TestNode:
        """A node enrolled below a running parent, its daemon not started."""
        node = self._new(f"node-{unit_code}")
        listen = LISTEN if kind is TokenKind.HUB else ""
        enrolment.join(node.directory, parent.token(unit_code, kind, address), Config(listen=listen, **settings))
        return node

    def close(self) -> None:
        for node in self.all:
            node.close()

    def _new(self, name: str) -> TestNode:
        node = TestNode(self.folder / name)
        self.all.append(node)
        return node

    @staticmethod
    def _units(node: TestNode) -> None:
        top = node.opened().facts["unit_id"]
        with node.opened().store.write("units") as tx:
            for code in ("01", "02"):
                tx.run(
                    "INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'commune', ?, ?)",
                    (top, code, f"Xã {code}"),
                )
            tx.run("INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'district', '03', 'Huyện 03')", (top,))
            district = tx.value("SELECT id FROM unit WHERE code = '03'")
            tx.run("INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'commune', '04', 'Xã 04')", (district,))
