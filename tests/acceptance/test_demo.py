"""The demo, run for real: nine daemons, one JSON document, and a sabotage that must be found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

DEMO_S_MAX = 600
TIERS = {"province": 1, "district": 2, "commune": 6}


def demo(folder: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run it with its temporary files in `folder`; returns the process and the document of its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "syncd", "demo", "--json", *options],
        capture_output=True,
        text=True,
        timeout=DEMO_S_MAX,
        check=False,
        env={**os.environ, "TMPDIR": str(folder), "SYNCD_LANGUAGE": "en"},
    )
    assert done.stdout, done.stderr
    return done, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("demo")
    return *demo(folder), folder


Run = tuple[subprocess.CompletedProcess[str], dict[str, Any], Path]


def test_the_demo_converges_within_a_minute(run: Run) -> None:
    done, document, _ = run
    assert (done.returncode, document["converged"], document["differences"]) == (0, True, []), done.stdout
    assert document["duration_s"] < 60


def test_every_tier_counts_the_same_rows(run: Run) -> None:
    _, document, _ = run
    assert Counter(node["tier"] for node in document["nodes"]) == TIERS
    totals = {
        tier: Counter(
            {
                name: sum(node["rows"][name] for node in document["nodes"] if node["tier"] == tier)
                for name in ("household", "person", "birth", "death", "migration", "person_check")
            }
        )
        for tier in TIERS
    }
    assert totals["province"] == totals["district"] == totals["commune"]
    assert totals["province"]["person"] >= 6_000
    assert totals["province"]["person_check"] == 1


def test_one_stream_has_one_position_and_one_content_everywhere(run: Run) -> None:
    _, document, _ = run
    seen: dict[str, set[tuple[Any, ...]]] = {}
    for node in document["nodes"]:
        for stream_id, position in node["positions"].items():
            digest = node["digests"][stream_id]
            assert digest["state"] == "equal"
            seen.setdefault(stream_id, set()).add((*position, digest["sha256"]))
    assert {len(contents) for contents in seen.values()} == {1}


def test_the_disagreements_are_decided_as_their_policies_say(run: Run) -> None:
    _, document, _ = run
    found = sorted(
        (side["column"], side["policy"], side["result"]) for each in document["conflicts"] for side in each["columns"]
    )
    assert found == [
        ("education", "latest", "accepted"),
        ("education", "latest", "accepted"),
        ("ethnic", "upper", "accepted"),
        ("full_name", "review", "review"),
        ("relation", "keeper", "kept"),
    ]


def test_nothing_is_left_behind(run: Run) -> None:
    _, _, folder = run
    assert list(folder.iterdir()) == []
    assert running_in(folder) == []


def test_sabotage_names_stream_and_table(tmp_path: Path) -> None:
    done, document = demo(tmp_path, "--sabotage")
    assert done.returncode == 1
    assert not document["converged"]
    assert len(document["differences"]) == 1
    assert "table person" in document["differences"][0]
    assert "Huyện Hương Sơn: stream 181" in document["differences"][0]
    bad = [
        (node["name"], digest["about"])
        for node in document["nodes"]
        for digest in node["digests"].values()
        if digest["state"] == "differs"
    ]
    assert [name for name, _ in bad] == ["Huyện Hương Sơn"]
    assert running_in(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
def test_a_demo_that_is_told_to_end_takes_its_daemons_and_its_folder_along(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "syncd", "demo"], stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    until(lambda: len(running_in(tmp_path)) >= 3, "three daemons run", 30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(300) == 143
    assert running_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_kept_tree_needs_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    done = subprocess.run(
        [sys.executable, "-m", "syncd", "demo", "--keep", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEMO_S_MAX,
        env={**os.environ, "SYNCD_LANGUAGE": "en"},
    )
    assert done.returncode == 2
    assert "is not empty" in done.stderr


def running_in(folder: Path) -> list[int]:
    """Processes whose arguments name the folder; what has ended and is not yet reaped has no arguments any more."""
    deadline = time.monotonic() + 1
    found = _processes(folder)
    while found and time.monotonic() < deadline:
        found = _processes(folder)
    return found


def _processes(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it ended meanwhile
    return found
