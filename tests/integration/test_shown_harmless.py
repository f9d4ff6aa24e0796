"""Every verb that shows what others wrote shows it harmless; raw text stays available."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from pathlib import Path

import pytest

from syncd.cli import program
from syncd.cli.place import opened_store
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from tests.postgres import PostgresServer

EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[31mA\u202eB\nfake line"
FORMULA = "=HYPERLINK(1)"
NODE = "01900000-0000-7000-8000-0000000000bb"


def harmless(text: str) -> bool:
    return not any(unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") for letter in text.replace("\n", ""))


@pytest.fixture(params=["sqlite", "postgresql"])
def directory(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgres_server: PostgresServer,
) -> Path:
    """A root among whose rows, peers and cases evil texts stand."""
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    database = request.getfixturevalue("postgres_dsn") if request.param == "postgresql" else "sqlite"
    init_root(tmp_path, Unit(code="42", name="Tỉnh thử", level="province"), Config(database=database))
    with opened_store(tmp_path) as store:
        with store.apply("evil") as tx:
            tx.run("UPDATE unit SET name = ?", (EVIL[:100],))
            tx.run("UPDATE node SET name = ?", (EVIL[:100],))
            tx.run(
                "INSERT INTO syncd_peer (node_id, role, name, last_error) VALUES (?, 'child', ?, ?)", (NODE, EVIL, EVIL)
            )
            tx.run("UPDATE syncd_stream SET state = 'stopped', reason = ?", (EVIL,))
            tx.run(
                "INSERT INTO syncd_case (case_id, kind, detail, opened_at) VALUES (?, 'rule_violated', ?,"
                " '2026-01-01T00:00:00Z')",
                (NODE, json.dumps({"rule": EVIL, "what": EVIL})),
            )
        with store.write("clerk") as tx:
            for number, address in (("1", EVIL), ("2", FORMULA), ("3", "-5")):
                tx.run("INSERT INTO household (number, kind, address) VALUES (?, 'family', ?)", (number, address))
    return tmp_path


@pytest.mark.parametrize("words", [
    ("status",), ("status", "--check"), ("status", "--json"), ("conflicts", "list"), ("conflicts", "show", NODE),
    ("conflicts", "list", "--json"), ("sql", "SELECT address FROM household"), ("figures",), ("propose", "--list"),
    ("sql", "--json", "SELECT address FROM household"), ("sql", "--csv", "SELECT address FROM household"),
    ("sql", f"SELECT 1 AS \"{EVIL[:20]}\""), ("sql", f"SELECT '{EVIL[:20]}' FROM nowhere"), ("units", "list"),
], ids=" ".join)  # fmt: skip
def test_no_verb_lets_a_control_character_through(
    directory: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    program.run([*words, "--dir", str(directory)])
    said = capsys.readouterr()
    assert said.out + said.err
    assert harmless(said.out + said.err)
    assert not any(line.startswith("fake line") for line in said.out.splitlines())


def test_csv_is_no_formula_and_raw_is_as_typed(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = "SELECT number, address, -7 FROM household ORDER BY number"
    program.run(["sql", "--csv", "--bom", query, "--dir", str(directory)])
    said = capsys.readouterr().out
    assert said.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(said.lstrip("\ufeff"))))[1:]
    assert rows[2][1] == "-5"
    assert rows[0][2] == "-7"
    assert harmless(rows[0][1])
    assert rows[1][1] == f"'{FORMULA}"
    program.run(["sql", "--csv", "--raw", query, "--dir", str(directory)])
    raw = list(csv.reader(io.StringIO(capsys.readouterr().out)))[1:]
    assert [row[1] for row in raw] == [EVIL, FORMULA, "-5"]
    program.run(["sql", "--raw", "SELECT address FROM household WHERE number = '1'", "--dir", str(directory)])
    assert EVIL in capsys.readouterr().out


def test_the_line_for_monitoring_has_one_bar(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened_store(directory) as store, store.apply("bar") as tx:
        tx.run("UPDATE syncd_stream SET reason = 'a | waiting=0'")
    program.run(["status", "--check", "--dir", str(directory)])
    assert capsys.readouterr().out.count("|") == 1
