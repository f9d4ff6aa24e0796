"""`python -m bench.run`: measures the figures of the README beside their peers, in one run on this machine.

Enters: --rounds, --rows, --changes, --only, --quick. Leaves: progress on stderr; on stdout a table and, as the last
line, one JSON object. Must hold: medians of rounds that take turns; contents are compared before a figure counts; every
process and folder made here is gone at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import report
from bench.capture import Sizes
from bench.profile import where_time_goes
from bench.sections import POSTGRES_CONF, SECTIONS, Bench, Settings, say
from tests.postgres import PostgresServer

ROUNDS, ROWS, CHANGES = 3, 200_000, 100_000
PROFILED = {"initial_vs_copy", "mix_vs_native", "relay_vs_direct"}


def main() -> int:
    """Run the chosen sections; 0 even when a bar is missed (that is a finding, not a failure)."""
    arguments = _arguments()
    settings = _settings(arguments)
    # A terminated run cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix="syncd-bench-"))
    _keep_bytecode(folder)
    try:
        values = _measure(settings, folder, _chosen(arguments.only))
        print(report.table(values))
        for key in report.missed(values):
            print(f"{key} misses its bar.")
        if PROFILED & set(report.missed(values)):
            print(where_time_goes(folder, settings.rows, settings.changes))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(report.document(values))
    return 0


def _keep_bytecode(folder: Path) -> None:
    """What is measured has its bytecode, as an installed package has, whatever this environment says."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")


def _measure(settings: Settings, folder: Path, names: list[str]) -> dict[str, float | None]:
    """Median of the rounds by key."""
    with PostgresServer.start(config=POSTGRES_CONF) as server:
        sizes = f"{settings.rounds} rounds, {settings.rows} rows, {settings.changes} changes"
        say(f"PostgreSQL {server.version}, {server.origin}; {sizes}")
        bench = Bench(settings, folder, server)
        try:
            for name in names:
                began = time.monotonic()
                say(f"{name}:")
                SECTIONS[name][0](bench)
                say(f"{name}: {time.monotonic() - began:.0f} s")
        finally:
            bench.stop()
    for what, spent_s in bench.seconds.items():
        print(f"{what}: {median(spent_s):.2f} s (rounds {', '.join(f'{value:.2f}' for value in spent_s)})")
    return {key: median(found) for key, found in bench.values.items()}


def _chosen(only: list[str]) -> list[str]:
    return [name for name, (_, keys) in SECTIONS.items() if not only or set(only) & {name, *keys}]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Benchmarks of syncd beside its peers.")
    names = [*SECTIONS, *report.BY_KEY]
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"per figure (default {ROUNDS})")
    parser.add_argument("--rows", type=int, help=f"in the table person (default {ROWS})")
    parser.add_argument("--changes", type=int, help=f"in the mix (default {CHANGES})")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=names,
        metavar="NAME",
        help="a section or figure; may be repeated",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work?, not how fast")
    return parser.parse_args()


def _settings(arguments: argparse.Namespace) -> Settings:
    quick = arguments.quick
    rows = arguments.rows or (20_000 if quick else ROWS)
    return Settings(
        rounds=arguments.rounds,
        rows=rows,
        changes=arguments.changes or (rows // 2 if quick else CHANGES),
        capture=Sizes(rows=rows // 2, bulk_changes=rows // 8 * 2, single_changes=500 if quick else 4_000),
        samples=30 if quick else 200,
        envelopes=4 if quick else 8,
        idle_s=10.0 if quick else 300.0,
        calm_s=5.0 if quick else 35.0,
        commands=5 if quick else 15,
    )


if __name__ == "__main__":
    sys.exit(main())
