"""`syncd conflicts list|show|resolve|undo` in both languages, as an officer meets them: each names the next command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncd.cli import program
from syncd.cli.place import opened_store
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.language import prefer
from syncd.node_files import open_node

NEXT_SHOW = re.compile(r"syncd (conflicts show(?: [0-9a-f]{4}-[0-9a-f]{4})+)")
NEXT_RESOLVE = re.compile(r"syncd (conflicts resolve [0-9a-f]{4}-[0-9a-f]{4} --verdict keep-ours)")


@dataclass
class Cli:
    """Runs commands in this process on one directory."""

    directory: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = program.run([*arguments, "--dir", str(self.directory)])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def sql(self, *statements: str) -> None:
        """As a clerk; then the node looks at what was written."""
        with opened_store(self.directory) as store, store.write("clerk") as tx:
            for statement in statements:
                tx.run(statement)
        opened = open_node(self.directory)
        try:
            opened.node.write()
            opened.node.settle()
        finally:
            opened.close()

    def value(self, query: str) -> object:
        with opened_store(self.directory) as store, store.read() as tx:
            return tx.value(query)


@pytest.fixture(params=["vi", "en"])
def cli(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cli]:
    """A root with one household number borne by three, which are three pairs."""
    monkeypatch.setenv("SYNCD_LANGUAGE", request.param)
    init_root(tmp_path, Unit(code="42", name="Tỉnh thử", level="province"), Config(database="sqlite"))
    made = Cli(tmp_path, capsys)
    made.sql(*["INSERT INTO household (number, kind, hamlet) VALUES ('7', 'family', 'Xóm Một')"] * 2)
    capsys.readouterr()
    yield made
    prefer("auto")


def case_id(cli: Cli) -> str:
    return str(json.loads(cli("conflicts", "list", "--json")[1])[0]["id"])


def test_status_names_list_list_names_show_and_show_names_resolve(cli: Cli) -> None:
    """Four commands, each copied from the output of the one before."""
    code, out, _ = cli("status")
    assert code == 0
    assert "→ syncd conflicts list" in out
    out = cli("conflicts", "list")[1]
    assert any(word in out for word in ("Trùng số hộ", "Same household number twice"))
    shown = NEXT_SHOW.search(out)
    assert shown is not None
    out = cli(*shown.group(1).split())[1]
    assert out.count("Xóm Một") == 2
    chosen = NEXT_RESOLVE.search(out)
    assert chosen is not None
    code, out, _ = cli(*chosen.group(1).split(), "--author", "Lê Cán Bộ")
    assert code == 0
    assert "syncd conflicts undo" in out
    assert json.loads(cli("conflicts", "list", "--json")[1]) == []
    assert "→ syncd conflicts list" not in cli("status")[1]
    assert cli.value("SELECT author FROM resolution") == "Lê Cán Bộ"


def test_list_gives_the_commands_and_the_last_decision_names_the_next_conflict(cli: Cli) -> None:
    """Three numbers: two decided by one command, which names the third; from the list alone."""
    for number, hamlet in (("8", "Xóm Một"), ("8", "Xóm Hai"), ("9", "Xóm Ba"), ("9", "Xóm Ba")):
        cli.sql(f"INSERT INTO household (number, kind, hamlet) VALUES ('{number}', 'family', '{hamlet}')")
    out = cli("conflicts", "list")[1]
    assert any(f"{title}: Xóm Một | Xóm Hai" in out for title in ("Thôn, tổ dân phố", "Hamlet"))
    assert any(word in out for word in ("không cột nào khác nhau", "no column differs"))
    single = re.findall(r"syncd (conflicts resolve [0-9a-f]{4}-[0-9a-f]{4} --verdict keep-ours)", out)
    assert len(single) == 3
    ids = [line.split()[2] for line in single]
    assert any(f"syncd conflicts resolve {' '.join(order)} --verdict keep-ours" in out for order in (ids,))
    code, out, _ = cli("conflicts", "resolve", ids[0], ids[1], "--verdict", "keep-ours")
    assert code == 0
    assert f"syncd conflicts resolve {ids[2]} --verdict keep-ours" in out
    assert any(word in out for word in ("Còn 1 vụ chờ máy này", "1 more wait for this node"))
    out = cli("conflicts", "resolve", ids[2], "--verdict", "keep-ours")[1]
    assert any(word in out for word in ("Không còn vụ nào chờ máy này", "Nothing more waits for this node"))
    out = cli("conflicts", "list")[1]
    assert "syncd conflicts list --all" in out
    assert ids[0] not in out
    assert ids[0] in cli("conflicts", "list", "--all")[1]


def test_words_are_in_one_language_and_codes_in_json(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = []
    for language, word in (("vi", "Hai hộ của một đơn vị"), ("en", "Two households of one unit")):
        monkeypatch.setenv("SYNCD_LANGUAGE", language)
        prefer("auto")
        assert word in cli("conflicts", "show", case_id(cli))[1]
        document = json.loads(cli("conflicts", "show", case_id(cli), "--json")[1])
        documents.append({name: document[name] for name in ("id", "state", "kind", "verdicts", "is_here", "why")})
    assert documents[0] == documents[1]
    assert documents[0]["kind"] == "duplicate_household_no"
    assert documents[0]["verdicts"] == ["value", "keep-ours", "later"]


def test_a_missing_or_wrong_verdict_names_the_possible_ones(cli: Cli) -> None:
    code, _, err = cli("conflicts", "resolve", case_id(cli))
    assert code == 2
    assert "value, keep-ours, later" in err
    code, _, err = cli("conflicts", "resolve", case_id(cli), "--verdict", "take-theirs")
    assert code == 2
    assert "value, keep-ours, later" in err
    assert cli("conflicts", "resolve", "--verdict", "later")[0] == 2
    assert cli("conflicts", "list", "--kind", "nothing")[0] == 2
    assert cli("conflicts", "list", "--older-than", "soon")[0] == 2


def test_another_value_needs_the_row_and_obeys_its_rules(cli: Cli) -> None:
    case = case_id(cli)
    row = str(cli.value("SELECT max(id) FROM household"))
    assert cli("conflicts", "resolve", case, "--verdict", "value", "number=8")[0] == 2
    code, _, err = cli("conflicts", "resolve", case, "--verdict", "value", "--row", row, "number=x")
    assert code == 2
    assert any(title in err for title in ("Số hộ", "Household number"))
    assert cli("conflicts", "resolve", case, "--verdict", "value", "--row", row, "number=8")[0] == 0
    assert cli.value("SELECT count(*) FROM household WHERE number = '8'") == 1


def test_many_are_decided_by_a_filter_after_a_preview_and_a_question(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in ("8", "8", "9", "9"):
        cli.sql(f"INSERT INTO household (number, kind) VALUES ('{number}', 'family')")
    bulk = ("conflicts", "resolve", "--kind", "duplicate_household_no", "--verdict", "keep-ours")
    code, out, _ = cli(*bulk, "--dry-run")
    assert (code, cli.value("SELECT count(*) FROM resolution")) == (0, 0)
    assert "3" in out
    monkeypatch.setattr("click.confirm", lambda _question: False)
    code, out, _ = cli(*bulk)
    assert code == 0
    assert any(who in out for who in ("hộ 9", "household 9")), "whom it is about, before it is asked"
    assert cli.value("SELECT count(*) FROM resolution") == 0
    assert cli(*bulk, "--older-than", "1d", "--yes")[0] == 0
    assert cli.value("SELECT count(*) FROM resolution") == 0
    assert cli(*bulk, "--unit", "42", "--yes")[0] == 0
    assert cli.value("SELECT count(DISTINCT case_id) FROM resolution") == 3
    assert json.loads(cli("conflicts", "list", "--json")[1]) == []
    assert len(json.loads(cli("conflicts", "list", "--all", "--json")[1])) == 3


def test_undo_brings_the_question_back_and_says_what_was_said(cli: Cli) -> None:
    case = case_id(cli)
    assert cli("conflicts", "undo", case)[0] == 2
    cli("conflicts", "resolve", case, "--verdict", "keep-ours", "--reason", "hai dãy nhà", "--author", "Lê Cán Bộ")
    document = json.loads(cli("conflicts", "show", case, "--json")[1])
    assert (document["state"], document["decided_by"]) == ("settled", "Lê Cán Bộ")
    assert "hai dãy nhà" in cli("conflicts", "show", case)[1]
    assert cli("conflicts", "undo", case, "--author", "Lê Cán Bộ")[0] == 0
    assert json.loads(cli("conflicts", "show", case, "--json")[1])["state"] == "case"
    assert cli.value("SELECT count(*) FROM resolution") == 4
    assert "Lê Cán Bộ" in cli("conflicts", "show", case)[1]


def test_status_counts_by_kind_with_the_age_of_the_oldest(cli: Cli) -> None:
    document = json.loads(cli("status", "--json")[1])
    found = document["disagreements"]
    assert [(each["kind"], each["count"], each["here"]) for each in found] == [("duplicate_household_no", 1, 1)]
    assert (document["cases"], document["reviews"]) == (1, 0)
    cli("conflicts", "resolve", case_id(cli), "--verdict", "keep-ours")
    assert json.loads(cli("status", "--json")[1])["disagreements"] == []
