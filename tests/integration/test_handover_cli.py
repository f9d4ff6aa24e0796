"""`syncd handover, replace, adopt, reassign` as an officer types them: in both languages, previewed, and wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncd.cli import program
from syncd.cli.handover import words
from syncd.cli.place import opened_store
from syncd.cli.who import author
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.keeping import Preview
from syncd.language import prefer


@dataclass
class Cli:
    """Runs commands in this process on one directory."""

    directory: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = program.run([*arguments, "--dir", str(self.directory)])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def document(self, *arguments: str) -> dict[str, Any]:
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return dict(json.loads(out))

    def value(self, query: str) -> Any:
        with opened_store(self.directory) as store, store.read() as tx:
            return tx.value(query)


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """A root with two units that nobody keeps."""
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    init_root(tmp_path, Unit(code="42", name="Tỉnh thử", level="province"), Config())
    with opened_store(tmp_path) as store, store.write("units") as tx:
        for code in ("18133", "18136"):
            tx.run(
                "INSERT INTO unit (parent_id, level, code, name) SELECT id, 'commune', ?, ? FROM unit"
                " WHERE code = '42'", (code, f"Xã {code}"))  # fmt: skip
    capsys.readouterr()
    yield Cli(tmp_path, capsys)
    prefer("auto")


def unit_id(cli: Cli, code: str) -> str:
    return str(cli.value(f"SELECT id FROM unit WHERE code = '{code}'"))


def household(cli: Cli, code: str, number: str) -> None:
    done = cli("sql", f"INSERT INTO household (unit_id, number, kind) VALUES ('{unit_id(cli, code)}', '{number}',"
               " 'family')")  # fmt: skip
    assert done[0] == 0, done


def test_hand_over_is_previewed_in_words_and_does_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = cli("handover", "18133", "--to", "self", "--dry-run")
    assert code == 0
    assert "The register of Xã 18133: no records yet" in out
    assert "from (nobody yet)" in out
    assert "A preview: nothing was done." in out
    prefer("vi")
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    code, out, _ = cli("handover", "18133", "--to", "self", "--dry-run")
    assert "Sổ của Xã 18133: chưa có bản ghi" in out
    assert "Xem trước, chưa làm gì." in out
    assert cli.value("SELECT count(*) FROM handover") == 0


def test_hand_over_is_ordered_and_the_order_names_who_gave_it(cli: Cli) -> None:
    said = cli.document("handover", "18133", "--to", "self", "--dry-run")
    assert (said["from"], said["from_term"], said["ordered"], said["forced"]) == (None, 0, False, False)
    assert cli.document("handover", "18133", "--to", "self", "--reason", "thử")["ordered"] is True
    assert cli.value("SELECT author FROM handover") == author()
    household(cli, "18133", "1")
    assert cli.document("handover", "18136", "--to", "self")["rows"]["household"] == 0


@pytest.mark.parametrize(
    ("language", "said"),
    [("vi", "Sổ của Xã 18133: 1 phán quyết, 137 hộ, 2 odd\n"),
     ("en", "The register of Xã 18133: 1 verdict, 137 household, 2 odd\n")],
)  # fmt: skip
def test_a_register_is_told_by_the_titles_of_its_tables(
    monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    planned = Preview(
        unit_id="u", unit_name="Xã 18133", from_node=None, from_name=None, from_term=0, to_node="n", to_name="N",
        held_seq=0, applied_seq=0, rows={"verdict": 1, "household": 137, "odd": 2, "person": 0}, also_kept={},
        going_on={},
    )  # fmt: skip
    assert said in words(planned, False, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("handover", "99999", "--to", "self"), "99999"),
        (("handover", "18133", "--to", "nobody"), "nobody does not name one node: there is none"),
        (("replace", "18133", "--to", "nobody"), "does not name one node"),
        (("replace", "42", "--to", "self"), "this node keeps Tỉnh thử itself"),
        (("handover", "42", "--to", "self"), "keeps Tỉnh thử already"),
        (("adopt", "3f2a"), "no single stream begins with 3f2a"),
        (("reassign", "18133", "--into", "18136"), "which households?"),
        (("reassign", "18133", "--into", "18136", "--all"), ""),
        (("reassign", "18133", "--into", "99999", "--all"), "99999"),
        (("reassign", "18133", "--into", "18133", "--all"), "the unit that takes the households is their own"),
        (("reassign", "18133", "--into", "18133", "--all", "--dry-run"), "is their own"),
        (("reassign", "18133", "--into", "42", "--all"), "one of the units lies in the other"),
        (("reassign", "42", "--into", "18133", "--all", "--dry-run"), "one of the units lies in the other"),
    ],
)
def test_wrong_input_is_told_with_what_to_do(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = cli(*arguments)
    if not said:
        assert code == 0, err
        return
    assert code == 2
    assert out == ""
    assert said in err
    assert " — " in err
    assert cli.value("SELECT count(*) FROM handover") == 0


def test_nothing_to_adopt_is_said(cli: Cli) -> None:
    assert cli("adopt")[1] == "Nothing waits to be adopted.\n"
    assert cli.document("adopt") == {"waiting": []}


def test_households_pass_by_a_list_of_numbers(cli: Cli, tmp_path: Path) -> None:
    cli("handover", "18133", "--to", "self")
    for number in ("1", "2", "3"):
        household(cli, "18133", number)
    chosen = tmp_path / "ho.txt"
    chosen.write_text("\ufeff1\n\n3\n", encoding="utf-8")
    arguments = ("reassign", "18133", "--into", "18136", "--households", str(chosen))
    code, out, _ = cli(*arguments, "--dry-run")
    assert code == 0
    assert out == "2 households with 0 persons pass to unit 18136.\nA preview: nothing was done.\n"
    assert cli.value("SELECT count(*) FROM reassignment") == 0
    assert cli.document(*arguments) == {
        "from": unit_id(cli, "18133"), "to": unit_id(cli, "18136"), "households": 2, "persons": 0, "ordered": True,
    }  # fmt: skip
    assert cli.value("SELECT count(*) FROM reassignment") == 1
    chosen.write_text("1\n9\n", encoding="utf-8")
    code, _, err = cli(*arguments)
    assert code == 2
    assert "no such household: 9" in err


def test_status_names_a_hand_over_under_way_and_what_came_late(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    me, other = cli.value("SELECT value FROM syncd_meta WHERE key = 'node_id'"), "01900000-0000-7000-8000-0000000000bb"
    unit = unit_id(cli, "18133")
    with opened_store(cli.directory) as store, store.apply("as received") as tx:
        tx.run("INSERT INTO syncd_term (unit_id, term, node_id, began, next_node_id) VALUES (?, 1, ?, 'record', ?)",
               (unit, me, other))  # fmt: skip
        tx.run("INSERT INTO syncd_term (unit_id, term, node_id, began) VALUES (?, 2, ?, 'handover')", (unit, other))
        tx.run("INSERT INTO syncd_quarantine (stream_id, seq, hash, previous, received_at, envelope) VALUES"
               " (?, 1, ?, ?, ?, ?)", (other, b"x", b"", "2026-01-01T00:00:00.000Z", b"x"))  # fmt: skip
        tx.run("INSERT INTO syncd_case (case_id, kind, stream_id, detail, opened_at) VALUES (?, 'writes_beyond_term',"
               " ?, '{}', '2026-01-01T00:00:00.000Z')", (other, other))  # fmt: skip
    said = cli.document("status")
    assert said["late_writes"] == 1
    assert said["hand_overs"] == [
        {"unit": "18133 Xã 18133", "from_name": "Tỉnh thử", "to_name": "", "waits_for": "old"}
    ]
    out = cli("status")[1]
    assert "Hand-over of 18133 Xã 18133: Tỉnh thử → ?, waiting for Tỉnh thử" in out
    assert "Written after a term had ended: 1 batches wait → syncd adopt" in out
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    prefer("vi")
    assert "Bàn giao 18133 Xã 18133: Tỉnh thử → ?, chờ Tỉnh thử" in cli("status")[1]
