"""Which version is installed, which one runs, and where the node is: what `--version` and `status` say of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from syncd import __version__
from syncd.cli import program
from syncd.cli.versions import facts, print_version, whereabouts
from syncd.config import Config
from syncd.control import Control
from syncd.enrolment import Unit, init_root
from syncd.language import prefer

OLDER = "0.0.9"


@pytest.fixture
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")


@pytest.mark.usefixtures("english")
def test_without_a_node_the_version_alone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCD_DIR", raising=False)
    print_version()
    assert capsys.readouterr().out.splitlines()[0] == f"syncd {__version__}"


@pytest.mark.usefixtures("english")
def test_a_daemon_of_another_version_is_told_apart_by_version_and_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after an upgrade without a restart."""
    node = tmp_path / "xa"
    init_root(node, Unit(code="42", name="Xã", level="commune"), Config(encrypted=False))
    monkeypatch.setenv("SYNCD_DIR", str(node))
    print_version()
    assert capsys.readouterr().out.splitlines()[1] == f"directory {node} · syncd {__version__}"
    older = Control(node, lambda: {"version": OLDER, "peers": {}, "workers": {}}, os.urandom, {})
    try:
        print_version()
        line = capsys.readouterr().out.splitlines()[1]
        assert line == whereabouts(node, {"version": OLDER})
        assert f"syncd {OLDER} runs, {__version__} is installed: restart it" in line
        assert program.run(["status"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == line
        assert program.run(["status", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert {key: said[key] for key in facts(node, {})} == {
            "directory": str(node), "version": __version__, "running_version": OLDER
        }  # fmt: skip
    finally:
        older.close()
        prefer("auto")


@pytest.mark.usefixtures("english")
def test_a_daemon_of_this_version_is_no_news(tmp_path: Path) -> None:
    assert whereabouts(tmp_path, {"version": __version__}) == f"directory {tmp_path} · syncd {__version__} runs"
