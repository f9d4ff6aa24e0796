"""One line of counts at the end of every run that simulated, however many workers shared the seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.sim import template

PREFIX = "sim:"


@pytest.fixture(scope="session", autouse=True)
def _templates() -> Iterator[None]:
    """Workers of xdist leave without running exit handlers, so the templates are removed here."""
    yield
    template.forget()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up what the chunks recorded."""
    total: Counter[str] = Counter()
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, count in getattr(report, "user_properties", []):
            if name.startswith(PREFIX):
                total[name.removeprefix(PREFIX)] += count
    if total:
        terminalreporter.write_line("sim: " + ", ".join(f"{count} {what}" for what, count in sorted(total.items())))
