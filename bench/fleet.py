"""`python -m bench.fleet`: what a hub with many children costs, over real TLS on loopback.

Enters: --children (sizes), --database, --seconds. Leaves: progress on stderr; a table and one JSON object per run on
stdout. Must hold: the hub is `syncd run` as installed (a province on PostgreSQL, or a district on SQLite below one);
the children are the project's own classes, many in a process (`fleet_children.py`), so they share the machine with the
hub: a figure says what this hub did on this machine, not what a province can. Every process started here is ended.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from bench.sections import POSTGRES_CONF
from bench.tree import BenchNode, make_hub
from bench.vitals import descriptors, process_cpu_s, rss_mb
from syncd.admission import Succession, TokenKind, Way, make_token
from syncd.demo.process import clean_environment
from syncd.inputs.mint import mint
from syncd.node_files import open_node
from syncd.security.names import ROOT_CERTIFICATE_FILE
from tests.memory import in_memory
from tests.postgres import PostgresServer

SIZES = (262,)
LATER = 10  # enrolled beside all the others
PER_PROCESS = 66
CHANGES, MONTH_S = 20, 60.0
REST_S, CALM_S = 40.0, 12.0
NEWCOMER_PERSONS = 10_000
TOKEN_S = 24 * 3600
RENAMES = 3
HERD_IN_S = 2.0  # for the word to reach all processes
JOINED_S_MAX, HEARD_S_MAX = 300.0, 60.0
JOINED_S_PER_CHILD = 3.0  # each child takes in the records of all the others, with the processors of this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table; `{n}` in its text is the number of children."""

    key: str
    what: str
    bar: str


FIGURES = (
    Figure(key="enrol_cpu_s", what="enrolling 10 beside all the others × n/10: hub's processor, s", bar="≤ 60"),
    Figure(key="enrol_p95_s", what="…, one enrolment, p95, s", bar=""),
    Figure(key="rest_cpu_pct", what="at rest with long polls: hub's processor, %", bar="≤ 3 (1 000: ≤ 8)"),
    Figure(key="rest_mb", what="…, hub's memory, MB", bar="≤ 120 (1 000: ≤ 300)"),
    Figure(key="rest_descriptors", what="…, hub's descriptors", bar="never ends"),
    Figure(key="month_failures", what="the month, 20 changes each in 60 s: failed exchanges", bar="0"),
    Figure(key="month_p95_s", what="…, one exchange, p95, s", bar="≤ 0.5"),
    Figure(key="exchange_cpu_ms", what="…, hub's processor per exchange, ms", bar="1 000 ÷ 100: ≤ 1.5"),
    Figure(key="rename_s", what="a unit renamed: the last child hears after, s", bar="≤ 1.5"),
    Figure(key="rename_cpu_s", what="…, hub's processor for one renaming, s", bar=""),
    Figure(key="herd_s", what="herd, all at once: the last one through, s", bar="≤ 10"),
    Figure(key="herd_cpu_s", what="…, hub's processor, s", bar=""),
    Figure(key="herd_unreceipted", what="…, without a receipt", bar="0"),
    Figure(key="herd_failures", what="…, failed exchanges", bar="0"),
    Figure(key="newcomer_s", what="a newcomer's 10 000 persons beside the month, s", bar=""),
    Figure(key="newcomer_ratio", what="…, others' p95 ÷ the month's", bar="≤ 2"),
)


@dataclass(eq=False)
class Host:
    """A process of children."""

    process: subprocess.Popen[str]
    tokens: list[str] = field(default_factory=list)

    def ask(self, name: str, *values: Any) -> dict[str, Any]:
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("a process of children has no pipes")
        self.process.stdin.write(json.dumps([name, values]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process of children has ended")
        found: dict[str, Any] = json.loads(line)
        return found


class Fleet:
    """A hub and its children."""

    def __init__(self, folder: Path, server: PostgresServer, database: str, number: int) -> None:
        self.number = number
        self.folder = folder
        self.values: dict[str, float] = {}
        self._hosts: list[Host] = []
        self._pool = ThreadPoolExecutor(64)
        self.province = make_hub(folder, server)
        self.nodes = [self.province]
        top = self._units(self.province, self.province.unit_id, ["district"], "d")[0]
        units = self._units(self.province, top, ["commune"] * (number + LATER + 1), "9")
        self.renamed = units[0]
        self.province.start()
        self.hub = self.province
        if database == "sqlite":
            self.hub = self.province.join_hub("d0")
            self.nodes.append(self.hub)
            self.hub.start()
            count = "SELECT count(*) FROM unit WHERE level = 'commune'"
            self.hub.wait("it knows the units", lambda: self.hub.value(count) == number + LATER + 1)
        self.tokens = self._tokens()

    def _units(self, province: BenchNode, above: str, levels: Sequence[str], prefix: str) -> list[str]:
        found = mint(len(levels), self.province.tag, time.time_ns() // 1_000_000, Random(len(levels)))
        with province.open() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO unit (id, parent_id, level, code, name) VALUES (%s, %s, %s, %s, %s)",
                [
                    (unit_id, above, level, f"{prefix}{place}", f"{level} {place}")
                    for place, (unit_id, level) in enumerate(zip(found, levels, strict=True))
                ],
            )
        return found

    def _tokens(self) -> list[str]:
        opened = open_node(self.hub.directory)
        try:
            pem = (self.hub.directory / ROOT_CERTIFICATE_FILE).read_text(encoding="ascii")
            way = Way(addresses=tuple(opened.config.addresses), ca_pem=pem)
            return [
                make_token(opened.node, f"9{place}", TokenKind.LEAF, way, TOKEN_S, os.urandom, Succession.NONE)
                for place in range(self.number + LATER + 1)
            ]
        finally:
            opened.close()

    def join(self) -> None:
        """All children, from all processes at once; ends when each knows that it keeps its unit."""
        shares = [self.tokens[at : at + PER_PROCESS] for at in range(0, self.number, PER_PROCESS)]
        shares[-1] = shares[-1][: self.number - PER_PROCESS * (len(shares) - 1)]
        self._hosts = [self._host(place) for place in range(len(shares))]
        with _timed("all of them joined"):
            asked = self._pool.map(lambda pair: pair[0].ask("join", pair[1]), zip(self._hosts, shares, strict=True))
            spent = [second for answer in asked for second in answer["seconds"]]
        self.values["enrol_p95_s"] = _p95(spent)
        self.all("wait")
        before = process_cpu_s(self.hub.pid)
        answers = self.all("keep", JOINED_S_MAX + JOINED_S_PER_CHILD * self.number)
        left = sum(answer["left"] for answer in answers)
        children_s, hub_s = sum(answer["cpu_s"] for answer in answers), process_cpu_s(self.hub.pid) - before
        say(f"until they know their units: processor of the children {children_s:.0f} s, of the hub {hub_s:.0f} s")
        if left:
            raise RuntimeError(f"{left} children have not heard in time that they keep their units")

    def enrol(self) -> None:
        """A few more beside all the others, which wait for news."""
        before = process_cpu_s(self.hub.pid)
        self._hosts.append(self._host(len(self._hosts)))
        for token in self.tokens[self.number : self.number + LATER]:
            self._hosts[-1].ask("join", [token])
        self._hosts[-1].ask("wait")
        self._hosts[-1].ask("keep", JOINED_S_MAX)
        self.values["enrol_cpu_s"] = (process_cpu_s(self.hub.pid) - before) / LATER * self.number

    def rest(self) -> None:
        self.all("rest")
        self.hub.run_for(CALM_S)
        before = process_cpu_s(self.hub.pid)
        self.hub.run_for(REST_S)
        self.values["rest_cpu_pct"] = (process_cpu_s(self.hub.pid) - before) / REST_S * 100
        self.values["rest_mb"] = rss_mb(self.hub.pid)
        self.values["rest_descriptors"] = descriptors(self.hub.pid)

    def month(self) -> None:
        before = process_cpu_s(self.hub.pid)
        spent, failures = self._month()
        self.values["month_failures"] = len(failures)
        self.values["month_p95_s"] = _p95(spent)
        self.values["exchange_cpu_ms"] = (process_cpu_s(self.hub.pid) - before) / max(len(spent), 1) * 1000
        for text in failures[:3]:
            say(text)

    def _month(self) -> tuple[list[float], list[str]]:
        answers = self.all("month", CHANGES, MONTH_S)
        return (
            sorted(second for answer in answers for second in answer["seconds"]),
            [text for answer in answers for text in answer["failures"]],
        )

    def rename(self) -> None:
        """The worst of a few: from the commit at the province to the last child that shows it."""
        worst, before = 0.0, process_cpu_s(self.hub.pid)
        for place in range(RENAMES):
            name = f"tên mới {place}"
            self.all("watch", self.renamed, name)
            with self.province.open() as connection:
                connection.execute("UPDATE unit SET name = %s WHERE id = %s", (name, self.renamed))
            began = time.time()
            answers = self.all("heard", HEARD_S_MAX)
            left = sum(answer["left"] for answer in answers)
            worst = max(worst, HEARD_S_MAX if left else max(answer["last_at"] for answer in answers) - began)
        self.values["rename_s"] = worst
        self.values["rename_cpu_s"] = (process_cpu_s(self.hub.pid) - before) / RENAMES

    def herd(self) -> None:
        self.all("gather")
        before = process_cpu_s(self.hub.pid)
        answers = self.all("herd", time.time() + HERD_IN_S)
        self.values["herd_cpu_s"] = process_cpu_s(self.hub.pid) - before
        self.values["herd_s"] = max(answer["last_s"] for answer in answers)
        self.values["herd_unreceipted"] = sum(answer["without_receipt"] for answer in answers)
        self.values["herd_failures"] = sum(len(answer["failures"]) for answer in answers)
        for text in [text for answer in answers for text in answer["failures"]][:3]:
            say(text)

    def newcomer(self) -> None:
        """One more child with a whole register, beside a month of the others."""
        host = self._host(len(self._hosts))
        host.ask("join", self.tokens[-1:])
        host.ask("wait")
        host.ask("keep", JOINED_S_MAX)
        month = self._pool.submit(self._month)
        time.sleep(MONTH_S / 4)
        self.values["newcomer_s"] = host.ask("load", NEWCOMER_PERSONS)["seconds"]
        spent, _failures = month.result()
        self.values["newcomer_ratio"] = _p95(spent) / self.values["month_p95_s"]
        self._hosts.append(host)

    def all(self, name: str, *values: Any) -> list[dict[str, Any]]:
        return list(self._pool.map(lambda host: host.ask(name, *values), self._hosts))

    def _host(self, place: int) -> Host:
        folder = self.folder / f"children-{place}"
        folder.mkdir()
        return Host(
            subprocess.Popen(
                [sys.executable, "-m", "bench.fleet_children", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=clean_environment(),
            )
        )

    def close(self) -> None:
        for host in self._hosts:
            host.process.kill()
            host.process.wait()
        for node in reversed(self.nodes):
            node.stop()


def main() -> int:
    arguments = _arguments()
    deadline = time.monotonic() + arguments.seconds
    folder = Path(tempfile.mkdtemp(prefix="syncd-fleet-", dir=in_memory()))
    try:
        with PostgresServer.start(config=POSTGRES_CONF) as server:
            for number in arguments.children:
                for database in arguments.database:
                    if time.monotonic() < deadline:
                        run(folder / f"{database}-{number}", server, database, number, arguments.only, deadline)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def run(folder: Path, server: PostgresServer, database: str, number: int, only: Sequence[str], deadline: float) -> None:
    folder.mkdir()
    with _timed(f"{database}, {number} children: hub and units"):
        fleet = Fleet(folder, server, database, number)
    try:
        for name in ("join", "enrol", "rest", "month", "rename", "herd", "newcomer"):
            if (name == "join" or not only or name in only) and time.monotonic() < deadline:
                with _timed(name):
                    getattr(fleet, name)()
    finally:
        fleet.close()
        print(table(database, number, fleet.values))
        print(json.dumps({"database": database, "children": number, **fleet.values}), flush=True)


def table(database: str, number: int, values: dict[str, float]) -> str:
    lines = [f"{number} children, hub on {database}", f"{'figure':62} {'bar':>22} {'measured':>10}"]
    lines += [f"{each.what:62} {each.bar:>22} {values[each.key]:>10.2f}" for each in FIGURES if each.key in values]
    return "\n".join(lines)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - began:.0f} s")


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)] if values else 0.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description="One hub, many children.")
    parser.add_argument("--children", type=int, nargs="+", default=list(SIZES), help="sizes, one run each")
    parser.add_argument("--database", nargs="+", choices=("postgresql", "sqlite"), default=["postgresql", "sqlite"])
    parser.add_argument("--only", nargs="+", default=[], help="enrol rest month rename herd newcomer (join always)")
    parser.add_argument("--seconds", type=float, default=3_600.0, help="no section begins after so long")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
