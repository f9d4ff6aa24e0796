"""One line of counts at the end of every run that simulated, however many workers shared the seeds."""

from __future__ import annotations

from collections import Counter

import pytest

PREFIX = "sim:"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up what the chunks recorded."""
    total: Counter[str] = Counter()
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, count in getattr(report, "user_properties", []):
            if name.startswith(PREFIX):
                total[name.removeprefix(PREFIX)] += count
    if total:
        terminalreporter.write_line("sim: " + ", ".join(f"{count} {what}" for what, count in sorted(total.items())))
