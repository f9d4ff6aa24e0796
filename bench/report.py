"""The figures of the issue: bars, stretches, the table at the end.

Enters: measured values by key. Leaves: lines for people, one JSON object on one line.
Must hold: exactly the known keys, in this order; a figure that was not measured is null, never a guess.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`higher`: more is better. `digits`: after the point, in the table and in JSON."""

    key: str
    bar: float
    stretch: float
    what: str
    higher: bool = False
    digits: int = 1

    def meets(self, value: float, limit: float) -> bool:
        return value >= limit if self.higher else value <= limit


FIGURES = (
    Figure(key="initial_vs_copy", bar=0.45, stretch=0.8, what="initial load ÷ COPY", higher=True, digits=2),
    Figure(key="mix_vs_native", bar=0.70, stretch=1.1, what="mix ÷ native replication", higher=True, digits=2),
    Figure(key="relay_vs_direct", bar=0.60, stretch=0.9, what="three tiers ÷ two", higher=True, digits=2),
    Figure(key="bytes_per_change_1000", bar=45, stretch=34, what="bytes per change, 1 000 each"),
    Figure(key="bytes_one_change", bar=800, stretch=500, what="bytes of one change", digits=0),
    Figure(key="capture_sqlite_1000", bar=20, stretch=15, what="capture %, SQLite, 1 000 each"),
    Figure(key="capture_sqlite_1", bar=40, stretch=35, what="capture %, SQLite, one each"),
    Figure(key="capture_pg_bulk", bar=25, stretch=10, what="capture %, PostgreSQL, bulk"),
    Figure(key="capture_pg_1", bar=20, stretch=10, what="capture %, PostgreSQL, one each"),
    Figure(key="latency_p50_ms", bar=250, stretch=20, what="two hops, median, ms"),
    Figure(key="latency_p95_ms", bar=1_000, stretch=60, what="two hops, 95 %, ms"),
    Figure(key="idle_rss_mb", bar=60, stretch=40, what="idle commune, resident MB"),
    Figure(key="idle_cpu_pct", bar=0.5, stretch=0.1, what="idle commune, processor %", digits=3),
    Figure(key="idle_written_bytes", bar=0, stretch=0, what="idle commune, bytes written", digits=0),
    Figure(key="version_ms", bar=150, stretch=60, what="syncd --version, ms", digits=0),
    Figure(key="status_ms", bar=250, stretch=100, what="syncd status, ms", digits=0),
    Figure(key="peak_rss_mb", bar=150, stretch=100, what="province's peak MB, initial load", digits=0),
    Figure(key="decide_per_s", bar=5_000, stretch=10_000, what="proposals decided/s, SQLite", higher=True, digits=0),
    Figure(key="decide_pg_per_s", bar=5_000, stretch=10_000, what="…, PostgreSQL", higher=True, digits=0),
    Figure(key="handover_s_max", bar=5, stretch=1, what="hand-over, 30 000 persons, busiest node, s"),
    Figure(key="handover_bytes", bar=50_000, stretch=10_000, what="…, bytes on the wire", digits=0),
)
BY_KEY = {figure.key: figure for figure in FIGURES}


def table(values: Mapping[str, float | None]) -> str:
    """What was measured, beside bar and stretch."""
    lines = [f"{'figure':24} {'bar':>8} {'stretch':>8} {'measured':>10}"]
    lines += [_line(figure, values.get(figure.key)) for figure in FIGURES]
    return "\n".join(lines)


def missed(values: Mapping[str, float | None]) -> list[str]:
    """Keys of the figures whose bar was missed."""
    found = ((figure, values.get(figure.key)) for figure in FIGURES)
    return [figure.key for figure, value in found if value is not None and not figure.meets(value, figure.bar)]


def document(values: Mapping[str, float | None]) -> str:
    """One JSON object on one line."""
    return json.dumps({figure.key: _rounded(figure, values.get(figure.key)) for figure in FIGURES})


def _line(figure: Figure, value: float | None) -> str:
    sign = "≥" if figure.higher else "≤"
    bar, stretch = f"{sign} {figure.bar:g}", f"{figure.stretch:g}"
    if value is None:
        return f"{figure.key:24} {bar:>8} {stretch:>8} {'–':>10}  not measured: {figure.what}"
    mark = "stretch" if figure.meets(value, figure.stretch) else "bar" if figure.meets(value, figure.bar) else "MISSED"
    return f"{figure.key:24} {bar:>8} {stretch:>8} {value:>10.{figure.digits}f}  {mark:7} {figure.what}"


def _rounded(figure: Figure, value: float | None) -> float | int | None:
    if value is None:
        return None
    return round(value, figure.digits) if figure.digits else round(value)
