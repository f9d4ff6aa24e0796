"""What a process costs: memory, processor, bytes written, time from start to end (Linux, /proc).

Enters: a process id, or a command. Leaves: numbers with their unit in the name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.tree import BenchNode
from syncd.demo.process import clean_environment

KIB_PER_MB = 1024
CALM_TRIES_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """A daemon that had nothing to do for a while."""

    rss_mb: float
    cpu_pct: float
    written_bytes: int


def total_written_bytes(pid: int) -> int:
    """That reached a file system since the process began."""
    facts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(facts["write_bytes"]) - int(facts["cancelled_write_bytes"])


def peak_rss_mb(pid: int) -> float:
    return _status_kib(pid, "VmHWM") / KIB_PER_MB


def rss_mb(pid: int) -> float:
    return _status_kib(pid, "VmRSS") / KIB_PER_MB


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def wait_calm(node: BenchNode, calm_s: float) -> None:
    """Until a daemon has written nothing for `calm_s`: a first look for disagreements goes on long after the load."""
    for _ in range(CALM_TRIES_MAX):
        written_bytes = total_written_bytes(node.pid)
        node.run_for(calm_s)
        if total_written_bytes(node.pid) == written_bytes:
            return
    raise RuntimeError(f"the daemon still writes after {CALM_TRIES_MAX * calm_s:.0f} s")


def idle(node: BenchNode, duration_s: float) -> Idle:
    """Watch a daemon at rest."""
    cpu_s, written_bytes, began = _cpu_s(node.pid), total_written_bytes(node.pid), time.monotonic()
    node.run_for(duration_s)
    took_s = time.monotonic() - began
    return Idle(
        rss_mb=rss_mb(node.pid),
        cpu_pct=(_cpu_s(node.pid) - cpu_s) / took_s * 100,
        written_bytes=total_written_bytes(node.pid) - written_bytes,
    )


def command_ms(arguments: list[str], times: int) -> float:
    """Median wall time of a whole process of the program."""
    spent_ms = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([*program(), *arguments], check=True, stdout=subprocess.DEVNULL, env=clean_environment())
        spent_ms.append((time.perf_counter() - began) * 1000)
    return median(spent_ms)


def program() -> list[str]:
    """The installed command, as an operator starts it; without one the module."""
    script = Path(sys.executable).with_name("syncd")
    return [str(script)] if script.exists() else [sys.executable, "-m", "syncd"]


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/status has no {name}")


def process_cpu_s(pid: int) -> float:
    """User and system time of a whole process, also of threads that have ended (in hundredths of a second)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _cpu_s(pid: int) -> float:
    """User and system time of all threads, to the nanosecond where the kernel keeps it."""
    threads = [path.joinpath("schedstat") for path in Path(f"/proc/{pid}/task").iterdir()]
    if all(path.exists() for path in threads):
        return sum(int(path.read_text().split()[0]) for path in threads) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
