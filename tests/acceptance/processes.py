"""A tree of real processes: `syncd run` per node, on loopback, each in a folder of its own (over `tests/nodes.py`).

Enters: a folder, DSNs where a node shall stand on PostgreSQL. Leaves: nodes that are written to by plain SQL, killed,
started again and looked into. Must hold: a node keeps its port over restarts; what is started is ended by its pid.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncd import control, enrolment
from syncd.admission import TokenKind
from syncd.config import Config
from syncd.failpoint import STAGE_FILE, read_stages
from tests import forking
from tests.acceptance.recount import opened as plain
from tests.nodes import END_S_MAX, TestNode
from tests.waiting import until

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
COMMAND_S_MAX = 300
CONVERGED_S_MAX = 300.0
CHECKPOINT_AFTER_S = 0.5  # of quiet: soon, so that the end need not be waited for
PROVINCE, DISTRICT = "42", "425"


@dataclass
class Station(TestNode):
    """A node whose daemon is `syncd run`. `stages`: the point each thread reached last, also after its death."""

    __test__ = False

    code: str = ""
    unit_id: str = ""
    node_id: str = ""

    @property
    def stage_file(self) -> Path:
        return self.directory.with_suffix(".stages")

    @property
    def stages(self) -> dict[str, str]:
        return read_stages(self.stage_file) if self.stage_file.exists() else {}

    def spawn(self, environment: Mapping[str, str]) -> None:
        self.stage_file.unlink(missing_ok=True)
        with self.directory.with_suffix(".log").open("ab") as log:
            self.process = forking.start(
                "syncd", ["run", "--dir", str(self.directory)],
                clean_environment({STAGE_FILE: str(self.stage_file), **environment}), stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self) -> dict[str, str]:
        """SIGKILL; the stages it died in."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(END_S_MAX)
        self.process = None
        return self.stages

    def died(self) -> int:
        """Wait until the daemon ends by itself; its exit code, -9 when a failpoint killed it."""
        assert self.process is not None
        code = self.process.wait(END_S_MAX)
        self.process = None
        return code

    def has_ended(self) -> bool:
        """Whether the daemon has ended by itself."""
        return self.process is None or self.process.poll() is not None

    def answers(self) -> bool:
        """Whether the daemon that was started last is ready."""
        picture = control.ask(self.directory)
        return picture is not None and self.process is not None and picture["pid"] == self.process.pid

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One command of the program on this node."""
        return command(*arguments, "--dir", str(self.directory), **environment)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """A query by plain SQL, without our code in between."""
        with plain(self.directory) as query:
            return query(statement)

    def one(self, statement: str) -> Any:
        """The first value of a query by plain SQL."""
        found = self.rows(statement)
        return found[0][0] if found else None


class Tree:
    """All stations of a test, the root first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stations: list[Station] = []

    def root(self, database: str = "sqlite", units: Mapping[str, Sequence[str]] | None = None) -> Station:
        """The province, running, with its units: district code → commune codes ("" for communes right below)."""
        directory, settings = self.folder / PROVINCE, self._settings(hub=True, database=database)
        made = enrolment.init_root(
            directory, enrolment.Unit(code=PROVINCE, name="Tỉnh thử", level="province"), settings
        )
        station = self._add(directory, PROVINCE, made, settings)
        with station.opened().store.write("units") as tx:
            for district, communes in (units or {}).items():
                parent = made.unit_id
                if district:
                    parent = str(tx.value(_UNIT, (made.unit_id, "district", district, f"Huyện {district}")))
                for code in communes:
                    tx.run(_UNIT, (parent, "commune", code, f"Xã {code}"))
        self.forget(station)
        station.start()
        return station

    def join(self, parent: Station, code: str, *, hub: bool = False, database: str = "sqlite") -> Station:
        """A station below a running parent, enrolled, its daemon not started."""
        until(lambda: parent.one(f"SELECT 1 FROM unit WHERE code = '{code}'"), f"unit {code} is known at {parent.code}")
        directory, settings = self.folder / code, self._settings(hub=hub, database=database)
        token = parent.token(code, TokenKind.HUB if hub else TokenKind.LEAF)
        self.forget(parent)
        return self._add(directory, code, enrolment.join(directory, token, settings), settings)

    def adopt(self, directory: Path) -> Station:
        """A node that was made by other means."""
        with plain(directory) as query:
            facts = dict(query("SELECT key, value FROM syncd_meta"))
        station = Station(directory, code=facts["unit_code"], unit_id=facts["unit_id"], node_id=facts["node_id"])
        self.stations.append(station)
        return station

    def keeps(self, station: Station) -> None:
        """Until a new station has heard that its unit's register is its own: before that it may not write."""
        until(lambda: station.one("SELECT 1 FROM syncd_keeper WHERE mine = 1"), f"{station.code} keeps its unit")

    def rest(self, seconds: float = CONVERGED_S_MAX) -> None:
        """Until nothing waits anywhere: every own row acknowledged by the custodian, everything received applied, and
        every stream compared with a checkpoint at or after its last row."""
        until(lambda: not self.unfinished(), "the tree is at rest", seconds)

    def unfinished(self) -> list[str]:
        """What still waits, a line each."""
        return [f"{station.code}: {what}" for station in self.stations for what in _unfinished(station)]

    def directories(self) -> list[Path]:
        return [station.directory for station in self.stations]

    def forget(self, station: Station) -> None:
        """Close what this process opened of a node, so that its death is its daemon's alone."""
        while station._opened:
            station._opened.pop().close()

    def close(self) -> None:
        for station in self.stations:
            station.close()

    def _add(self, directory: Path, code: str, made: enrolment.Made, settings: Config) -> Station:
        station = Station(directory, code=code, unit_id=made.unit_id, node_id=made.node_id)
        station.address = settings.addresses[0] if settings.addresses else ""
        self.stations.append(station)
        return station

    def _settings(self, *, hub: bool, database: str) -> Config:
        place = f"{HOST}:{free_port()}"
        return Config(
            database=database, listen=place if hub else "", addresses=[f"https://{place}"] if hub else [],
            checkpoint_after_s=CHECKPOINT_AFTER_S,
        )  # fmt: skip


_UNIT = "INSERT INTO unit (parent_id, level, code, name) VALUES (?, ?, ?, ?) RETURNING id"


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command of the program, in a process of its own, in English."""
    return forking.run("syncd", *arguments, env=clean_environment(environment), timeout=COMMAND_S_MAX)


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's, without settings meant for some other node."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
    return {**kept, "SYNCD_LANGUAGE": "en", **more}


def free_port() -> int:
    """A port nobody listens on right now; listening sets SO_REUSEADDR, so a station gets its own again."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def _unfinished(station: Station) -> list[str]:
    """What waits at one node. A stream without rows (a lone control stream) has no checkpoint to wait for."""
    with plain(station.directory) as query:
        waiting = [
            ("journal rows", "syncd_journal"),
            ("own streams not at the custodian", "syncd_stream WHERE own = 1 AND custodian_seq < held_seq"),
            ("streams not applied", "syncd_stream WHERE own = 0 AND applied_seq < held_seq"),
            ("streams not ok", "syncd_stream WHERE state <> 'ok'"),
            ("own streams without a checkpoint", "syncd_stream WHERE own = 1 AND checkpoint_seq < held_seq"),
            ("checkpoints that differ", "syncd_checkpoint WHERE ok <> 1"),
            ("streams never compared", "syncd_stream AS s WHERE own = 0 AND NOT EXISTS (SELECT 1 FROM"
             " syncd_checkpoint AS c WHERE c.stream_id = s.stream_id AND c.seq >= s.applied_seq - 1)"),
        ]  # fmt: skip
        found = [(what, int(query(f"SELECT count(*) FROM {where}")[0][0])) for what, where in waiting]
    return [f"{count} {what}" for what, count in found if count]
