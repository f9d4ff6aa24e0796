"""Proposals from a file, and what the commands about proposals print: all lines or none, never a value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.cli import program
from syncd.cli import proposals as screen
from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.errors import FileRefused, UsageError
from syncd.inputs.proposals_csv import preview_file, propose_file
from syncd.language import prefer
from syncd.limits import WISHES_LINES_MAX
from tests.integration.shapes import ThreeTiers, add_person, three_tiers
from tests.postgres import PostgresServer
from tests.trees import TreeBuilder

MIXTURES: dict[str, tuple[str, ...]] = {"sqlite": (), "postgres": ("district",)}
HEADER = "operation,table,row_id,unit,reason,expires,set"
NEW = "full_name=Bí Mật,sex=2,birth_date=2026-01-05,birth_precision=d,ethnic=01,residence=usual"


@pytest.fixture(params=MIXTURES, ids=str)
def tree(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[ThreeTiers]:
    with postgres_server.databases(MIXTURES[request.param]) as dsns:
        made = three_tiers(TreeBuilder(tmp_path), dsns)
        yield made
        for node in made.nodes:
            node.store.close()


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")


def written(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8-sig")
    return path


def test_every_line_of_a_file_becomes_one_proposal_and_the_same_file_again_none(
    tree: ThreeTiers, tmp_path: Path
) -> None:
    first, second, third = (add_person(tree.commune) for _ in range(3))
    tree.settle()
    path = written(
        tmp_path / "wishes.csv",
        f"update,person,{first.upper()},,theo sổ,30d,phone=0777,relation=",
        f",person,{second},,,,phone=0778",
        "",
        f"delete,person,{third},,ghi hai lần,,",
        f",person,{third},,,,phone=0779",
        f"insert,person,,42501,,,{NEW}",
        f"update,person,{first},,,,relation=,phone=0777",
    )
    now_ms = tree.builder.clock()
    looked = preview_file(tree.district.store, path, "A", now_ms)
    assert (looked.lines, looked.repeated, looked.problems.errors) == (6, 1, 0)
    assert tree.district.value("SELECT count(*) FROM proposal") == 0
    done = propose_file(tree.district.store, path, "A", now_ms)
    assert (sorted(done.proposed), done.repeated) == ([2, 3, 5, 6, 7, 8], 1)
    again = propose_file(tree.district.store, path, "B", now_ms)
    assert (len(again.proposed), again.repeated) == (6, 6)
    assert tree.district.rows("SELECT count(*), max(author), count(expires_at) FROM proposal") == [(5, "A", 1)]
    tree.prove()
    phones = tree.province.rows("SELECT phone FROM person WHERE phone IS NOT NULL ORDER BY phone")
    assert phones == [("0777",), ("0778",), ("0779",)], "the last line about a row counts, not the delete before it"


def test_one_wrong_line_keeps_the_whole_file_out_and_no_value_is_repeated(tree: ThreeTiers, tmp_path: Path) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    path = written(
        tmp_path / "wishes.csv",
        f"update,person,{row_id},,,,phone=0777",
        f"update,person,{row_id},,,,citizen_id=bimat",
        f"update,person,{row_id},,,,bimat",
        f"update,person,{row_id},,,,sex=bimat",
        "update,person,019a0000-0000-7000-8000-000000000000,,,,phone=bimat",
        f"update,nonsense,{row_id},,,,phone=1",
        f"replace,person,{row_id},,,,phone=1",
        "update,person,,,,,phone=1",
        f"insert,person,{row_id},42501,,,{NEW}",
        f"insert,person,,,,,{NEW}",
        f"insert,person,,99,,,{NEW}",
        f"update,person,{row_id},,,soon,phone=1",
        f"update,person,{row_id},,,,",
        f"update,person,{row_id},,,,full_name=NguyÔn V¨n An",
        f"update,person,{row_id},,,,full_name=#N/A?x",
    )
    for proposed in (preview_file, propose_file):
        found = proposed(tree.district.store, path, None, tree.builder.clock())
        assert (found.lines, found.proposed) == (15, {})
        assert [(problem.line, problem.column) for problem in sorted(found.problems.kept, key=lambda p: p.line)] == [
            (3, "row_id"), (4, "set"), (5, "set"), (6, "row_id"), (7, "table"), (8, "operation"), (9, "operation"),
            (10, "operation"), (11, "operation"), (12, "unit"), (13, "expires"), (14, "row_id"),
            (15, "set"), (16, "set"),
        ]  # fmt: skip
        assert "bimat" not in str(found.problems)
    assert tree.district.value("SELECT count(*) FROM proposal") == 0


def test_a_file_may_leave_columns_out_and_use_semicolons(tree: ThreeTiers, tmp_path: Path) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    path = written(tmp_path / "wishes.csv", f"{row_id};person;phone=0777;;", header="row_id;table;set;;")
    assert len(propose_file(tree.district.store, path, None, tree.builder.clock()).proposed) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"", b"table\nperson\n", b"table,row_id,table\n", b"table,row_id,colour\n", b"set,table,row_id\n",
        b"table,row_id\n\xff\xfe\n", b'table,row_id\n"person\n', b"table,row_id\n" + b"a,b\n" * (WISHES_LINES_MAX + 1),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_file_of_another_kind_is_refused(tree: ThreeTiers, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wishes.csv"
    path.write_bytes(content)
    with pytest.raises(
        (UsageError, FileRefused), match=r"is empty|the columns: operation, table|line 2: not UTF-8|no CSV from"
    ):
        preview_file(tree.district.store, path, None, tree.builder.clock())


def test_the_screens_say_what_was_done(tree: ThreeTiers, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row_id = add_person(tree.commune)
    tree.settle()
    store, now_ms = tree.district.store, tree.builder.clock()
    path = written(tmp_path / "wishes.csv", f"update,person,{row_id},,,,phone=0777")
    assert screen.from_file(store, path, None, now_ms, True, False) == 0
    assert capsys.readouterr().out.endswith("Checked only: nothing was written.\n")
    assert screen.from_file(store, path, None, now_ms, False, True) == 0
    document = json.loads(capsys.readouterr().out)
    (made,) = document["proposed"]
    assert (document["lines"], made["line"], made["is_repeated"]) == (1, 2, False)
    assert screen.show(store, now_ms, False, False) == 0
    shown = capsys.readouterr().out
    assert made["proposal_id"] in shown
    assert "0777" not in shown
    for state, code in (("is withdrawn", 0), ("was withdrawn before", 0)):
        assert screen.take_back(store, made["proposal_id"], now_ms, False) == code
        assert state in capsys.readouterr().out
    assert screen.show(store, now_ms, True, True) == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "withdrawn"
    bad = written(tmp_path / "bad.csv", "update,person,,,,,phone=1")
    assert screen.from_file(store, bad, None, now_ms, False, False) == 1
    assert "nothing was written" in capsys.readouterr().out
    assert screen.from_file(store, path, None, now_ms, False, False) == 0
    tree.settle()
    capsys.readouterr()
    newest = tree.district.value("SELECT id FROM proposal WHERE withdrawn_at IS NULL")
    assert screen.take_back(store, str(newest), now_ms, False) == 1
    assert "no longer waits (accepted)" in capsys.readouterr().out
    assert screen.take_back(store, str(newest), now_ms, True) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("list",), 0, "No proposals wait."),
        (("list", "--all"), 0, "No proposals."),
        (("withdraw",), 2, "name the proposal's id"),
        (("withdraw", "abcd"), 2, "0 proposals of this node"),
        ((), 2, "name a table and a row's id"),
        (("person", "x", "--file", "FILE"), 2, "--file stands alone"),
        (("--file", "FILE", "--dry-run"), 0, "0 lines: 0 new proposals"),
        (("person", "x", "--set", "phone=1", "--expires", "soon"), 2, "no such end"),
        (("person", "x", "--set", "phone=1", "--dry-run"), 2, "has no row x"),
    ],
)
def test_words_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    init_root(tmp_path, Unit(code="42", name="Tỉnh thử", level="province"), Config())
    path = written(tmp_path / "wishes.csv")
    capsys.readouterr()
    given = [str(path) if word == "FILE" else word for word in words]
    assert program.run(["propose", *given, "--dir", str(tmp_path)]) == code
    heard = capsys.readouterr()
    assert said in heard.out + heard.err
    prefer("auto")
