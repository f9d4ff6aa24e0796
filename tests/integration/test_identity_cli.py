"""`syncd generate` with people who are written twice, and `syncd identity` on them, as an operator calls them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from syncd.cli import program
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.language import prefer


def test_duplicates_are_generated_found_listed_and_taken_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    init_root(tmp_path / "node", Unit(code="42", name="Tỉnh thử", level="province"), Config(encrypted=False))
    truth = tmp_path / "truth.csv"

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = program.run([*arguments, "--dir", str(tmp_path / "node")])
        return code, capsys.readouterr().out

    code, out = run("generate", "--persons", "200", "--duplicates", "200", "--truth", str(truth), "--json")
    assert code == 0
    assert json.loads(out)["persons"] > 240
    with truth.open(encoding="utf-8", newline="") as file:
        entities = [line["entity"] for line in csv.DictReader(file)]
    assert len(entities) - len(set(entities)) >= 40
    done = json.loads(run("identity", "match", "--json")[1])
    assert done["persons"] > 240
    assert done["counts"]["linked"] + done["counts"]["proposed"] > 30
    assert json.loads(run("identity", "match", "--json")[1])["persons"] == 0
    assert json.loads(run("identity", "match", "--all", "--json")[1])["counts"]["linked"] == 0
    side = json.loads(run("identity", "list", "--json")[1])[0]
    assert side["full_name"] in run("identity", "list")[1]
    assert all("  [linked]  " in line for line in run("identity", "list")[1].splitlines())
    code, out = run("identity", "unlink", side["link_id"], "--author", "An")
    assert (code, out) == (0, f"Link {side['link_id']}: taken apart.\n")
    assert json.loads(run("identity", "list", "--state", "unlinked", "--json")[1])[0]["decided_by"] == "An"
    assert "linked" in run("identity", "confirm", side["link_id"])[1]
    assert run("identity", "unlink", "0d6f3c5e-7a01-4c2d-8e9f-00005d2c0a11")[0] == 2
    assert run("identity", "match", "--all")[1].startswith(f"{done['persons']} persons matched")
    assert run("generate", "--persons", "1", "--share", "3/2")[0] == 2
    prefer("auto")
