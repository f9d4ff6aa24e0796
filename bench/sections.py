"""The measurements, one function per section of the table; each adds its rounds to the results.

Enters: settings, servers, a folder. Leaves: values per figure and round. Must hold: what is compared takes turns, round
by round; a section leaves no process behind.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median

from bench import data, handover, latency, traffic, vitals
from bench.capture import PostgresCapture, Sizes, SqliteCapture
from bench.data import Statement
from bench.deciding import PERSONS, PROPOSALS, Deciding
from bench.handover import HandingOver
from bench.peers import CopyPeer, NativePeer
from bench.traffic import Meter
from bench.tree import BenchTree, parent_port, route
from tests.postgres import PostgresServer

LOADED, INITIAL, MIXED = "loaded", "initial", "mixed"
UNCHECKED = (
    "SELECT count(*) FROM syncd_stream WHERE own = 1 AND (held_seq > checkpoint_seq OR held_seq > custodian_seq)"
)
FIRST_LOOK_S_MAX = 3_600.0  # with others on the machine
LOOKED_AT_ALL = "SELECT count(*) FROM syncd_meta WHERE key = 'identity_looked_at'"
# The same for every server and every side; room enough that no checkpoint falls into a measurement.
POSTGRES_CONF: dict[str, str | int] = {
    "wal_level": "logical",
    "shared_buffers": "256MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Sizes of a run."""

    rounds: int
    rows: int
    changes: int
    capture: Sizes
    samples: int  # of latency
    envelopes: int  # whose bytes are counted
    idle_s: float
    calm_s: float  # more than it takes until the times of the last exchange are on disk
    commands: int


@dataclass(slots=True)
class Bench:
    """What the sections share: servers and trees are made on first use and kept."""

    settings: Settings
    folder: Path
    server: PostgresServer
    values: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    _trees: dict[str, BenchTree] = field(default_factory=dict)

    def add(self, key: str, value: float) -> None:
        self.values.setdefault(key, []).append(value)
        say(f"  {key} {value:.3f}")

    def took(self, what: str, value: float, count: int) -> None:
        self.seconds.setdefault(what, []).append(value)
        say(f"  {what}: {value:.2f} s, {count / value:,.0f}/s")

    def ratio(self, key: str, ours: str, peer: str) -> None:
        """Our rate over the peer's: medians of the rounds."""
        self.values[key] = [median(self.seconds[peer]) / median(self.seconds[ours])]

    def tree(self, name: str) -> BenchTree:
        """`direct` or `relay`, stopped, with its initial backlog saved."""
        if name not in self._trees:
            say(f"preparing the tree {name!r}")
            tree = self._trees[name] = BenchTree(self.folder / name, self.server, district=name == "relay")
            tree.load(self.settings.rows)
            tree.save(INITIAL)
        return self._trees[name]

    def loaded(self, name: str) -> BenchTree:
        """The tree after its initial load, stopped, as saved."""
        tree = self.tree(name)
        if LOADED in tree.states:
            tree.restore(LOADED)
            return tree
        tree.restore(INITIAL)
        tree.deliver()
        tree.stop()
        tree.save(LOADED)
        return tree

    def mixed(self, name: str) -> BenchTree:
        """The loaded tree with the mix committed and unsequenced at the commune."""
        tree = self.tree(name)
        if MIXED not in tree.states:
            self.loaded(name).commune.write(self.mix(tree))
            tree.save(MIXED)
        tree.restore(MIXED)
        return tree

    def mix(self, tree: BenchTree) -> list[Statement]:
        return data.mix(tree.register, self.settings.changes)

    def stop(self) -> None:
        for tree in self._trees.values():
            tree.stop()


def capture_sqlite(bench: Bench) -> None:
    capture = SqliteCapture(bench.folder, bench.settings.capture)
    for turn in range(bench.settings.rounds):
        bench.add("capture_sqlite_1000", capture.thousand(turn))
        bench.add("capture_sqlite_1", capture.single(turn))


def capture_postgres(bench: Bench) -> None:
    capture = PostgresCapture(bench.server, bench.settings.capture)
    for turn in range(bench.settings.rounds):
        bench.add("capture_pg_bulk", capture.bulk(turn))
        bench.add("capture_pg_1", capture.single(turn))
    capture.close()


def initial(bench: Bench) -> None:
    tree, rows = bench.tree("direct"), bench.settings.rows
    copy = CopyPeer(bench.server, tree.register)
    for _ in range(bench.settings.rounds):
        bench.took("COPY", copy.seconds(), rows)
        tree.restore(INITIAL)
        spent_s = tree.deliver()
        bench.add("peak_rss_mb", vitals.peak_rss_mb(tree.province.pid))
        tree.stop()
        tree.require_equal()
        bench.took("initial load", spent_s, rows)
    if LOADED not in tree.states:
        tree.save(LOADED)
    copy.close()
    bench.ratio("initial_vs_copy", "initial load", "COPY")


def mix(bench: Bench) -> None:
    """PostgreSQL's own replication and ours, in turns."""
    count = bench.settings.changes
    changes = bench.mix(bench.tree("direct"))
    with PostgresServer.start(config=POSTGRES_CONF) as publisher:
        native = NativePeer(publisher, bench.server, bench.tree("direct").register)
        for _ in range(bench.settings.rounds):
            bench.took("native replication of the mix", native.seconds(changes), count)
            bench.took("mix", _delivered(bench.mixed("direct")), count)
    bench.ratio("mix_vs_native", "mix", "native replication of the mix")


def relay(bench: Bench) -> None:
    count = bench.settings.changes
    for _ in range(bench.settings.rounds):
        bench.took("mix over two hops", _delivered(bench.mixed("relay")), count)
        bench.took("mix over one hop", _delivered(bench.mixed("direct")), count)
    bench.ratio("relay_vs_direct", "mix over two hops", "mix over one hop")


def line(bench: Bench) -> None:
    """Bytes on the line, and what a command costs beside a running daemon."""
    settings, tree = bench.settings, bench.loaded("direct")
    meter = Meter(parent_port(tree.commune))
    route(tree.commune, meter.port)
    try:
        tree.start()
        tree.commune.wait_at_province()
        thousands = data.mix(tree.register, settings.envelopes * 1000)
        for number in range(settings.envelopes):
            part = thousands[number * 1000 : (number + 1) * 1000]
            bench.add("bytes_per_change_1000", traffic.bytes_per_change(tree.commune, meter, part))
        touched = {change[1][-1] for change in thousands}
        rest = data.Register(
            tag="", households=[], persons=[row for row in tree.register.persons if row[0] not in touched]
        )
        for part in traffic.single_changes(rest, 2 * settings.envelopes, Random(1)):
            bench.add("bytes_one_change", traffic.bytes_per_change(tree.commune, meter, part))
    finally:
        tree.stop()
        meter.close()
    tree.require_equal()


def commands(bench: Bench) -> None:
    tree = bench.loaded("direct")
    tree.start()
    tree.commune.wait_at_province()
    vitals.wait_calm(tree.commune, bench.settings.calm_s)
    for _ in range(bench.settings.rounds):
        bench.add("version_ms", vitals.command_ms(["--version"], bench.settings.commands))
        bench.add(
            "status_ms", vitals.command_ms(["status", "--dir", str(tree.commune.directory)], bench.settings.commands)
        )
    tree.stop()


def hops(bench: Bench) -> None:
    tree = bench.loaded("relay")
    tree.start()
    tree.commune.wait_at_province()
    samples_ms = latency.samples_ms(tree, bench.settings.samples, Random(2))
    tree.commune.wait_at_province()
    tree.stop()
    tree.require_equal()
    bench.add("latency_p50_ms", latency.percentile(samples_ms, 0.5))
    bench.add("latency_p95_ms", latency.percentile(samples_ms, 0.95))


def idle(bench: Bench) -> None:
    tree = bench.loaded("direct")
    tree.start()
    with tree.commune.open() as connection:
        tree.commune.wait(
            "its checkpoint is at the province", lambda: not connection.execute(UNCHECKED).fetchone()[0], 0.5
        )
        began = time.monotonic()
        tree.commune.wait(
            "everybody was looked at", lambda: connection.execute(LOOKED_AT_ALL).fetchone()[0], 0.5, FIRST_LOOK_S_MAX
        )
    pid = tree.commune.pid
    bench.took("first look at everybody", time.monotonic() - began, bench.settings.rows)
    say(f"  written since its start: {vitals.total_written_bytes(pid):,} bytes; peak {vitals.peak_rss_mb(pid):.0f} MB")
    vitals.wait_calm(tree.commune, bench.settings.calm_s)
    found = vitals.idle(tree.commune, bench.settings.idle_s)
    tree.stop()
    for key in ("rss_mb", "cpu_pct", "written_bytes"):
        bench.add(f"idle_{key}", getattr(found, key))


def deciding(bench: Bench) -> None:
    """5 000 proposals against 5 000 changed rows, on both databases in turns."""
    persons = min(PERSONS, bench.settings.rows)
    count = min(PROPOSALS, persons // 4)
    keepers = {
        "decide_per_s": Deciding(bench.folder / "decide_sqlite", None, persons),
        "decide_pg_per_s": Deciding(bench.folder / "decide_pg", bench.server, persons),
    }
    for _ in range(bench.settings.rounds):
        for key, keeper in keepers.items():
            bench.add(key, keeper.per_second(count))
    for keeper in keepers.values():
        keeper.close()


def handing_over(bench: Bench) -> None:
    """A commune's register passes to its district and back, three tiers."""
    over = HandingOver(bench.folder / "handover", bench.server, min(handover.PERSONS, bench.settings.rows))
    for _ in range(bench.settings.rounds):
        passed = over.passes()
        bench.add("handover_s_max", max(spent_s for each in passed for spent_s in each.seconds.values()))
        bench.add("handover_bytes", max(each.size_bytes for each in passed))
    over.close()


def _delivered(tree: BenchTree) -> float:
    """Seconds a restored tree needs for its backlog; contents compared."""
    spent_s = tree.deliver()
    tree.stop()
    tree.require_equal()
    return spent_s


def say(text: str) -> None:
    """Progress, for whoever watches."""
    print(text, file=sys.stderr, flush=True)


SECTIONS: dict[str, tuple[Callable[[Bench], None], tuple[str, ...]]] = {
    "capture_sqlite": (capture_sqlite, ("capture_sqlite_1000", "capture_sqlite_1")),
    "capture_postgres": (capture_postgres, ("capture_pg_bulk", "capture_pg_1")),
    "initial": (initial, ("initial_vs_copy", "peak_rss_mb")),
    "mix": (mix, ("mix_vs_native",)),
    "relay": (relay, ("relay_vs_direct",)),
    "line": (line, ("bytes_per_change_1000", "bytes_one_change")),
    "idle": (idle, ("idle_rss_mb", "idle_cpu_pct", "idle_written_bytes")),
    "commands": (commands, ("version_ms", "status_ms")),
    "hops": (hops, ("latency_p50_ms", "latency_p95_ms")),
    "deciding": (deciding, ("decide_per_s", "decide_pg_per_s")),
    "handover": (handing_over, ("handover_s_max", "handover_bytes")),
}
