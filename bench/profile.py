"""Where the time goes: the same initial load and mix inside one process, stage by stage, without a network.

Enters: a folder, sizes. Leaves: lines with seconds per stage and the functions that cost most.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import data
from syncd.framing import FrameReader
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder, TreeNode

FUNCTIONS_SHOWN = 12
TRANSACTION_ROWS = 5_000


def where_time_goes(folder: Path, rows: int, changes: int) -> str:
    """Text of a profile of both workloads."""
    folder = folder / "profile"
    folder.mkdir()
    with PostgresServer.start(config={"shared_buffers": "256MB"}) as server:
        builder = TreeBuilder(folder)
        province = builder.root(dsn=server.create_database())
        builder.settle()
        commune = builder.child(province, "commune", "18229")
        builder.settle()
        register = data.register(commune.unit_id, commune.keys.tag, rows)
        _write(commune, [(data.INSERT_HOUSEHOLD, row) for row in register.households])
        builder.settle()
        lines = []
        workloads: dict[str, list[data.Statement]] = {
            "initial load": [(data.INSERT_PERSON, row) for row in register.persons],
            "mix": data.mix(register, changes),
        }
        for name, statements in workloads.items():
            _write(commune, statements)
            lines += _workload(name, len(statements), commune, province)
            builder.settle()
    return "\n".join(lines)


def _workload(name: str, count: int, commune: TreeNode, province: TreeNode) -> list[str]:
    stages: dict[str, Callable[[], Any]] = {
        "sequence and seal (commune)": commune.node.write,
        "send and receive (both logs)": lambda: _push(commune, province),
        "open and apply (province)": province.node.apply_all,
    }
    lines = [
        f"where the time goes, {name}, {count} changes, one process, stages one after the other (daemons overlap them):"
    ]
    for stage, work in stages.items():
        profile = cProfile.Profile()
        began, began_cpu = time.perf_counter(), time.process_time()
        profile.runcall(work)
        took_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
        lines.append(
            f"  {stage}: {took_s:.2f} s, of which Python and SQLite {cpu_s:.2f} s (profiler on: about 1.3 × as long)"
        )
        lines += _costliest(profile)
    return lines


def _push(commune: TreeNode, province: TreeNode) -> None:
    link, desk, peer = commune.link, province.desk, commune.node.node_id
    if link is None:
        raise RuntimeError("the commune has no parent")
    link.take_hello(desk.hello(peer, link.hello()), 0, 0)
    while sending := link.next_push():
        link.take_push(desk.push(peer, FrameReader().feed(sending.body)))


def _costliest(profile: cProfile.Profile) -> list[str]:
    stats = pstats.Stats(profile, stream=io.StringIO())
    found = sorted(stats.stats.items(), key=lambda item: -item[1][2])  # type: ignore[attr-defined]  # documented, not typed
    return [
        f"    {own_s:6.2f} s  {calls:>8} ×  {Path(place[0]).name}:{place[2]}"
        for place, (_, calls, own_s, _, _) in found[:FUNCTIONS_SHOWN]
        if own_s >= 0.02
    ]


def _write(node: TreeNode, statements: list[data.Statement]) -> None:
    for at in range(0, len(statements), TRANSACTION_ROWS):
        with node.store.write("clerk") as tx:
            for text, values in statements[at : at + TRANSACTION_ROWS]:
                tx.run(text, values)
