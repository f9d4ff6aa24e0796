"""The demo's nodes: their directories, their daemon processes, a window into each database, bounded waits.

Enters: a folder. Leaves: a running tree. Must hold: every process started here is ended by its own number, whatever
happens; a wait has a condition and a bound, and says what it waited for when a daemon dies meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from syncd.demo import process
from syncd.demo.line import HOST, Line, free_port
from syncd.demo.waiting import first
from syncd.errors import SyncdError
from syncd.language import say
from syncd.store.base import Store

WAIT_S_MAX = 30.0
START_S_MAX = 15.0
STOP_S_MAX = 12.0
LOOK_S = 0.02
CHECKPOINT_AFTER_S = 1.0  # of quiet: soon, so that the end need not be waited for
LOG_LINES_SHOWN = 8
PROVINCE, DISTRICT, COMMUNE = "province", "district", "commune"

# Real units of Hà Tĩnh before July 2025 (syncd/data/demo_units.csv) with the number of persons to generate.
SHAPE: dict[str, dict[str, int]] = {
    "439": {"18133": 1150, "18136": 930, "18139": 870},
    "440": {"18229": 1240, "18235": 960, "18259": 850},
}
ROOT_CODE, CUT_CODE = "42", "440"


@dataclass(slots=True, kw_only=True, eq=False)
class DemoNode:
    """One node: its place in the tree, its process, its open database (for looking, and for the clerk's SQL)."""

    tier: str
    code: str
    name: str
    unit_id: str
    node_id: str
    directory: Path
    port: int | None
    store: Store
    parent: DemoNode | None
    children: list[DemoNode] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def value(self, query: str, values: Sequence[Any] = ()) -> Any:
        with self.store.read() as tx:
            return tx.value(query, values)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.store.read() as tx:
            return tx.all(query, values)

    @contextmanager
    def program(self) -> Iterator[Any]:
        """Another program's connection: the key file and sqlcipher3, nothing of syncd (as the README shows)."""
        from sqlcipher3 import dbapi2 as sqlcipher

        connection = sqlcipher.connect(str(self.directory / "syncd.db"), isolation_level=None)
        try:
            connection.execute(f"PRAGMA key = \"x'{(self.directory / 'database.key').read_bytes().hex()}'\"")
            connection.execute("PRAGMA busy_timeout = 5000")
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection
        finally:
            connection.close()


class DemoTree:
    """All nodes, upper tiers first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: list[DemoNode] = []
        self.line: Line | None = None
        self._units: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}

    def tier(self, tier: str) -> list[DemoNode]:
        return [node for node in self.nodes if node.tier == tier]

    def node(self, code: str) -> DemoNode:
        return next(node for node in self.nodes if node.code == code)

    @property
    def province(self) -> DemoNode:
        return self.nodes[0]

    # --- making -------------------------------------------------------------------------------------------------------

    def build(self) -> None:
        """Enrol everybody as an operator would: init, units, token, join; each daemon runs before its children come."""
        self._make_root()
        self.start(self.province)
        self.line = Line(self.province.port or 0)
        for code in SHAPE:
            self.start(self._join(self.province, code, DISTRICT, via=self.line.port if code == CUT_CODE else None))
        for code, communes in SHAPE.items():
            for commune in communes:
                self.start(self._join(self.node(code), commune, COMMUNE, via=None))

    def _make_root(self) -> None:
        from dataclasses import replace

        from syncd.enrolment import Unit, init_root
        from syncd.inputs.codes import load_codes, package_codes
        from syncd.inputs.units import demo_unit_rows, load_units

        rows = [replace(row, valid_to=None) for row in demo_unit_rows()]
        self._names = {row.code: row.name for row in rows}
        directory, port = self.folder / _directory_name(ROOT_CODE), free_port()
        made = init_root(directory, Unit(code=ROOT_CODE, name=self._names[ROOT_CODE], level=PROVINCE), _config(port))
        node = self._add(PROVINCE, ROOT_CODE, made, directory, port, None)
        with node.store.write("import") as tx:
            self._units = load_units(tx, rows, time_ms=time.time_ns() // 1_000_000, random=Random(os.urandom(16)))
            load_codes(tx, package_codes())

    def _join(self, parent: DemoNode, code: str, tier: str, via: int | None) -> DemoNode:
        """Enrol one node below a running parent. `via`: the port of the line that leads there."""
        from msgspec.structs import replace

        from syncd.admission import Succession, TokenKind
        from syncd.cli.token import issue
        from syncd.config import load_config, write_config
        from syncd.enrolment import join

        self.wait(
            say("đơn vị {code} tới máy {name}", "unit {code} reaches {name}", code=code, name=parent.name),
            lambda: parent.value("SELECT 1 FROM unit WHERE code = ?", (code,)),
        )
        directory, port = self.folder / _directory_name(code), free_port() if tier == DISTRICT else None
        kind = TokenKind.HUB if tier == DISTRICT else TokenKind.LEAF
        token = issue(parent.directory, code, kind, 3600, Succession.NONE)
        made = join(directory, token, _config(port))
        if via is not None:
            write_config(directory, replace(load_config(directory, {}), parent_urls=[f"https://{HOST}:{via}"]))
        return self._add(tier, code, made, directory, port, parent)

    def _add(
        self, tier: str, code: str, made: Any, directory: Path, port: int | None, parent: DemoNode | None
    ) -> DemoNode:
        from syncd.config import load_config
        from syncd.node_files import open_store

        node = DemoNode(
            tier=tier,
            code=code,
            name=made.unit_name,
            unit_id=made.unit_id,
            node_id=made.node_id,
            directory=directory,
            port=port,
            store=open_store(directory, load_config(directory, {})),
            parent=parent,
        )
        self.nodes.append(node)
        if parent is not None:
            parent.children.append(node)
        return node

    # --- processes ----------------------------------------------------------------------------------------------------

    def start(self, node: DemoNode) -> None:
        """Run the node's daemon as a process of its own and wait until it answers."""
        from syncd.control import ask

        node.process = process.run(node.directory, process.clean_environment(kept=("SYNCD_LANGUAGE",)))
        self.wait(
            say("chương trình đồng bộ {name} chạy", "the daemon of {name} runs", name=node.name),
            lambda: ask(node.directory),
            START_S_MAX,
        )

    def stop(self, node: DemoNode) -> None:
        """End the node's daemon in good order; by force when it does not go."""
        running, node.process = node.process, None
        if running is not None:
            process.end(running, STOP_S_MAX)

    def stop_all(self) -> None:
        """End everything, children first; a failure to end one never spares the others."""
        for node in reversed(self.nodes):
            if node.process is not None:
                node.process.terminate()
        for node in reversed(self.nodes):
            self.stop(node)
        if self.line is not None:
            self.line.cut()

    def close(self) -> None:
        for node in self.nodes:
            node.store.close()

    # --- waiting ------------------------------------------------------------------------------------------------------

    def wait(self, what: str, condition: Callable[[], Any], within_s: float = WAIT_S_MAX) -> float:
        """Until the condition holds; returns the seconds it took. Raises SyncdError when it does not come to hold."""
        began = time.monotonic()

        def holds() -> bool:
            if condition():
                return True
            self._require_alive(what)
            return False

        if first(holds, within_s, LOOK_S) is None:
            raise SyncdError(
                say(
                    "chờ {s} giây mà chưa thấy: {what}",
                    "waited {s} s in vain for: {what}",
                    s=int(within_s),
                    what=what,
                ),
                say("xem nhật ký trong {folder}", "see the logs in {folder}", folder=self.folder),
            )
        return time.monotonic() - began

    def _require_alive(self, what: str) -> None:
        for node in self.nodes:
            if node.process is not None and node.process.poll() is not None:
                code, tail = node.process.returncode, process.log_tail(node.directory, LOG_LINES_SHOWN)
                raise SyncdError(
                    say(
                        "chương trình đồng bộ {name} đã dừng (mã {code}) khi chờ: {what}\n{tail}",
                        "the daemon of {name} ended (code {code}) while waiting for: {what}\n{tail}",
                        name=node.name,
                        code=code,
                        what=what,
                        tail=tail,
                    ),
                    say("xem {path}", "see {path}", path=node.directory / process.LOG_FILE),
                )


def _directory_name(code: str) -> str:
    return f"node-{code}"


def _config(port: int | None) -> Any:
    from syncd.config import Config

    if port is None:
        return Config(checkpoint_after_s=CHECKPOINT_AFTER_S)
    return Config(checkpoint_after_s=CHECKPOINT_AFTER_S, listen=f"{HOST}:{port}", addresses=[f"https://{HOST}:{port}"])
