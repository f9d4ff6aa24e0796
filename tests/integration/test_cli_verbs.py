"""Commands on a real node's directory, on both databases: SQL as a clerk's, files, figures, proofs, refusals."""

from __future__ import annotations

import csv
import io
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
from tests.postgres import PostgresServer

FOREIGN_UNIT = "01900000-0000-7000-8000-0000000000aa"
OTHER_NODE = "01900000-0000-7000-8000-0000000000bb"


@dataclass
class Cli:
    """Runs commands in this process on one directory."""

    directory: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = program.run([*arguments, "--dir", str(self.directory)])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def value(self, query: str) -> object:
        with opened_store(self.directory) as store, store.read() as tx:
            return tx.value(query)


@pytest.fixture(params=["sqlite", "plain", "postgresql"])
def cli(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    postgres_server: PostgresServer,
) -> Iterator[Cli]:
    """A root with a foreign unit, on each kind of database."""
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    database = request.getfixturevalue("postgres_dsn") if request.param == "postgresql" else "sqlite"
    config = Config(database=database, encrypted=request.param != "plain")
    init_root(tmp_path, Unit(code="42", name="Tỉnh thử", level="province"), config)
    with opened_store(tmp_path) as store, store.apply("foreign") as tx:
        tx.run(
            "INSERT INTO syncd_keeper (unit_id, node_id, term, mine) VALUES (?, ?, 1, 0)", (FOREIGN_UNIT, OTHER_NODE)
        )
    capsys.readouterr()
    yield Cli(tmp_path, capsys)
    prefer("auto")


HOUSEHOLD = "INSERT INTO household (number, kind) VALUES ('7', 'family')"


def test_a_statement_writes_as_a_clerk_and_is_captured(cli: Cli) -> None:
    before = int(str(cli.value("SELECT count(*) FROM syncd_journal")))
    code, out, _ = cli("sql", HOUSEHOLD)
    assert (code, out) == (0, "1 rows written.\n")
    assert cli.value("SELECT count(*) FROM syncd_journal") == before + 1


def test_rows_come_as_table_json_or_csv(cli: Cli) -> None:
    cli("sql", HOUSEHOLD)
    query = "SELECT number, kind, hamlet, 3 AS n FROM household"
    assert cli("sql", query)[1].splitlines() == ["number  kind    hamlet  n", "7       family          3"]
    assert json.loads(cli("sql", "--json", query)[1]) == [{"number": "7", "kind": "family", "hamlet": None, "n": 3}]
    rows = list(csv.reader(io.StringIO(cli("sql", "--csv", query)[1])))
    assert rows == [["number", "kind", "hamlet", "n"], ["7", "family", "", "3"]]
    assert cli("sql", "--csv", "--bom", query)[1].startswith("\ufeffnumber,")


def test_a_file_of_statements_is_kept_whole_or_not_at_all(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "statements.sql"
    path.write_text(f"{HOUSEHOLD};\nINSERT INTO household (number, kind) VALUES ('x', 'family');\n", encoding="utf-8")
    code, _, err = cli("sql", "--file", str(path))
    assert code == 1
    assert "nothing of this transaction was written" in err
    assert cli.value("SELECT count(*) FROM household") == 0
    path.write_text(f"{HOUSEHOLD};\nUPDATE household SET hamlet = 'a;b' WHERE number = '7';\n", encoding="utf-8")
    assert cli("sql", "--file", str(path))[0] == 0
    assert cli.value("SELECT hamlet FROM household") == "a;b"


@pytest.mark.parametrize("statement", ["SELECT 1 FROM x", "SELECT x FROM unit", "SELEC 1", "SELECT nonsuch(1)"])
def test_a_statement_that_is_not_understood_is_told_in_vietnamese(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    code, _, err = cli("sql", statement)
    assert code == 1
    assert re.fullmatch(r"lỗi: (không có|sai cú pháp gần) .+ — không có gì được ghi; sửa câu lệnh rồi chạy lại\n", err)
    assert "exist" not in err


def test_a_file_that_is_no_text_is_refused_by_name(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rnd.bin"
    file.write_bytes(bytes(range(128, 256)))
    assert cli("sql", "--file", str(file)) == (1, "", f"error: {file} is not UTF-8 — save it as UTF-8 text and run it"
                                               " again\n")  # fmt: skip
    for given, told in ((b"\xff\xfe", "standard input is UTF-16 text"), (b"\xe1", "standard input is not UTF-8")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8"))
        assert told in cli("sql", "--file", "-")[2]
    code, _, err = cli("reassign", "42", "--into", "42", "--households", str(file))
    assert (code, "Traceback" in err) == (1, False)


def test_a_write_to_a_unit_kept_elsewhere_is_refused_with_the_way_to_propose(cli: Cli) -> None:
    code, _, err = cli("sql", f"INSERT INTO household (unit_id, number, kind) VALUES ('{FOREIGN_UNIT}', '7', 'family')")
    assert code == 77
    assert err.startswith("error: table household")
    assert "propose instead: syncd propose insert household --unit CODE --set number=value" in err
    assert "bảng" not in err


def test_the_refusal_names_the_unit_and_gives_the_whole_command(cli: Cli) -> None:
    row_id = "01900000-0000-7000-8000-0000000000cc"
    with opened_store(cli.directory) as store, store.apply("foreign") as tx:
        tx.run(
            "INSERT INTO unit (id, level, code, name) VALUES (?, 'commune', '18133', 'Xã Bên')",
            (FOREIGN_UNIT,),
        )
        tx.run("INSERT INTO household (id, unit_id, number, kind) VALUES (?, ?, '9', 'family')", (row_id, FOREIGN_UNIT))
    code, _, err = cli("sql", "UPDATE household SET hamlet = 'Thôn 1' WHERE number = '9'")
    assert code == 77
    plain = cli.directory.joinpath("syncd.toml").read_text().find("encrypted = false") >= 0
    if plain:  # the triggers of a shared file can name neither row nor unit
        assert err.endswith(f"syncd propose update household ID --set hamlet=value --dir {cli.directory}\n")
    else:
        assert "unit 18133 Xã Bên is kept by" in err
        assert err.endswith(f"syncd propose update household {row_id} --set hamlet=value --dir {cli.directory}\n")
    assert "Thôn 1" not in err
    assert cli("sql", "DELETE FROM household WHERE number = '9'")[2].endswith(
        f" --reason 'why' --dir {cli.directory}\n"
    )


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "INSERT INTO household (number, kind) VALUES ('x', 'family')",
            "table household, column number: a household nu",
        ),
        (
            "INSERT INTO household (number, kind, opened_on, closed_on)"
            " VALUES ('1', 'family', '2024-02-02', '2024-02-01')",
            "table household: closed_on is not before opened_on",
        ),
        ("INSERT INTO household (kind) VALUES ('family')", "table household, column number: is required"),
    ],
)
def test_a_value_against_a_rule_is_told_by_the_rule(cli: Cli, statement: str, said: str) -> None:
    code, _, err = cli("sql", statement)
    assert code == 1
    assert said in err
    assert "ck_" not in err
    assert "nothing of this transaction was written" in err


def test_a_file_that_is_no_such_csv_is_refused_whole(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    for content in (b"a,b\n1,2\n", b"\xff\xfe\x00not text", b'household_number;"x\n'):
        path.write_bytes(content)
        for verb in (("import", "--unit", "42"), ("units", "import")):
            code, _, err = cli(*verb, str(path))
            assert code == 1, err
            assert " — " in err


def test_a_register_kept_elsewhere_is_not_written(cli: Cli, tmp_path: Path) -> None:
    with opened_store(cli.directory) as store, store.apply("foreign") as tx:
        tx.run(
            "INSERT INTO unit (id, level, code, name) VALUES (?, 'commune', '18133', 'Xã Bên')",
            (FOREIGN_UNIT,),
        )
    path = tmp_path / "template.csv"
    path.write_text(cli("import", "--template")[1], encoding="utf-8")
    for arguments in (("import", str(path)), ("generate", "--persons", "3")):
        code, _, err = cli(*arguments, "--unit", "18133")
        assert code == 77
        assert "unit 18133 Xã Bên is kept by another node" in err
    assert cli("generate", "--persons", "3", "--unit", "99999")[0] == 2


def test_before_the_first_exchange_it_is_said_that_the_units_are_not_here_yet(cli: Cli, tmp_path: Path) -> None:
    with opened_store(cli.directory) as store, store.apply("empty") as tx:
        tx.run("DELETE FROM unit")
        tx.run("DELETE FROM syncd_keeper")
    path = tmp_path / "template.csv"
    path.write_text(cli("import", "--template")[1], encoding="utf-8")
    for arguments in (
        ("import", str(path)),
        ("generate", "--persons", "3"),
        ("generate", "--persons", "3", "--unit", "42"),
    ):
        code, _, err = cli(*arguments)
        assert code == 75
        assert f"run `syncd sync --once --dir {cli.directory}` or `syncd run --dir {cli.directory}`" in err


@pytest.mark.parametrize("more", [(), ("--duplicates", "20")], ids=["once", "twice"])
def test_people_of_one_seed_are_not_generated_again(cli: Cli, more: tuple[str, ...]) -> None:
    assert cli("generate", "--persons", "60", *more)[0] == 0
    code, _, err = cli("generate", "--persons", "60", *more)
    assert code == 2
    assert "have been generated in this unit already" in err
    assert "add others with another --seed" in err
    assert cli("generate", "--persons", "60", "--seed", "8", *more)[0] == 0


def test_a_generated_register_never_meets_the_templates_household(cli: Cli, tmp_path: Path) -> None:
    cli("generate", "--persons", "60")
    path = tmp_path / "template.csv"
    path.write_text(cli("import", "--template")[1], encoding="utf-8")
    assert "Households: 1 new, 0 changed" in cli("import", str(path))[1]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE person",
        "/* x */ ALTER TABLE person ADD COLUMN extra TEXT",
        "SELECT 1; CREATE TABLE mine (a TEXT)",
        "VACUUM",
        "DELETE FROM syncd_journal",
        "UPDATE syncd_meta SET value = 'x'",
        "WITH a AS (SELECT 1) DELETE FROM syncd_keeper",
    ],
)
def test_structure_and_own_tables_are_not_changed(cli: Cli, statement: str) -> None:
    code, _, err = cli("sql", f"{HOUSEHOLD}; {statement}")
    assert code == 77
    assert "nothing was written" in err
    assert cli.value("SELECT count(*) FROM household") == 0


def test_own_tables_are_read_freely_and_triggers_write_them(cli: Cli) -> None:
    assert cli("sql", "SELECT count(*) FROM syncd_meta WHERE key <> 'DROP; DELETE FROM syncd_meta'")[0] == 0
    assert cli("sql", f"{HOUSEHOLD}; DELETE FROM household")[0] == 0


def test_a_statement_the_database_refuses_is_told_once(cli: Cli) -> None:
    code, out, err = cli("sql", "SELECT number FROM nowhere")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "nowhere" in err


def test_either_a_statement_or_a_file(cli: Cli) -> None:
    assert cli("sql")[0] == 2


def test_units_and_codes_that_ship_are_loaded_once(cli: Cli) -> None:
    assert json.loads(cli("units", "import", "--demo", "--json")[1]) == {"units": 18, "codes": 100}
    assert json.loads(cli("units", "import", "--demo", "--json")[1]) == {"units": 0, "codes": 0}


def test_the_template_itself_can_be_imported_and_again_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    cli("units", "import", "--demo")
    path = tmp_path / "template.csv"
    path.write_text(cli("import", "--template")[1], encoding="utf-8")
    code, _, err = cli("import", str(path))
    assert code == 2
    assert "42 Tỉnh thử, has" in err
    previewed = cli("import", str(path), "--unit", "42", "--dry-run")[1]
    assert previewed.startswith("Importing into unit 42 Tỉnh thử\n")
    assert "nothing was written" in previewed
    assert cli.value("SELECT count(*) FROM person") == 0
    assert cli("import", str(path), "--unit", "42")[0] == 0
    assert cli.value("SELECT count(*) FROM person") == 2
    report = json.loads(cli("import", str(path), "--unit", "42", "--json")[1])
    assert report["unit"]["code"] == "42"
    assert (report["persons_added"], report["persons_changed"], report["persons_same"]) == (0, 0, 2)


def test_a_refused_line_is_told_by_line_column_and_rule_and_ends_with_1(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(
        "household_number,line_no,full_name,sex,birth_date,ethnic\n5,1,Mật Danh,3,01/02/1990,01\n", encoding="utf-8"
    )
    code, out, err = cli("import", str(path))
    assert code == 1
    assert "line 2, column Sex" in out
    assert "Mật Danh" not in out + err


def test_generated_people_are_counted_by_the_figures(cli: Cli) -> None:
    cli("units", "import", "--demo")
    done = json.loads(cli("generate", "--persons", "200", "--seed", "3", "--json")[1])
    assert done["persons"] == 200
    cli("sync", "--once")  # cells are folded with the log
    found = json.loads(cli("figures", "--json")[1])
    usual = cli.value("SELECT count(*) FROM person WHERE residence IN ('usual', 'absent')")
    assert found["usual"]["total"] == usual
    code, text, _ = cli("figures", "--unit", "42", "--period", "2026-01")
    assert code == 0
    assert "42 Tỉnh thử" in text


def test_status_and_verify_of_a_lone_root(cli: Cli) -> None:
    cli("generate", "--persons", "50")
    assert json.loads(cli("status", "--json")[1])["own"]["unsealed"] > 50
    assert cli("verify")[0] == 0
    code, out, _ = cli("verify", "--full", "--json")
    document = json.loads(out)
    assert (code, document["equal"]) == (0, True)
    assert {stream["state"] for stream in document["streams"]} == {"equal"}
    assert json.loads(cli("status", "--json")[1])["own"]["unsealed"] == 0


def test_a_token_needs_an_address_that_children_reach(cli: Cli) -> None:
    cli("units", "import", "--demo")
    code, _, err = cli("token", "--unit", "439")
    assert code == 78
    assert "addresses" in err


def test_sync_at_the_root_writes_what_waits(cli: Cli) -> None:
    cli("sql", HOUSEHOLD)
    code, out, _ = cli("sync", "--once", "--json")
    assert code == 0
    assert json.loads(out)["rows_written"] > 0
    assert cli("sync")[0] == 2


def test_proposing_about_a_row_kept_here_is_a_usage_error(cli: Cli) -> None:
    cli("sql", HOUSEHOLD)
    row_id = str(cli.value("SELECT id FROM household"))
    code, _, err = cli("propose", "household", row_id, "--set", "hamlet=x")
    assert code == 2
    assert "nothing to propose" in err


def test_no_conflicts_are_said_so(cli: Cli) -> None:
    assert cli("conflicts", "list")[1] == "No disagreements.\n"
    assert json.loads(cli("conflicts", "list", "--json")[1]) == []
    code, _, err = cli("conflicts", "show", "abc")
    assert code == 2
    assert "no conflict has the id abc — see: syncd conflicts list --all" in err


def test_an_unknown_unit_is_not_taken_for_one_without_conflicts(cli: Cli) -> None:
    for words in (("list",), ("resolve", "--verdict", "later", "--yes")):
        code, out, err = cli("conflicts", *words, "--unit", "99999")
        assert (code, out) == (2, "")
        assert "there is no unit of code 99999" in err
    assert cli("conflicts", "list", "--unit", "42")[0] == 0


def test_a_conflict_is_found_by_any_part_of_its_id(cli: Cli) -> None:
    ids = [f"01900000-0000-7{digits}-8def-0000000000bb" for digits in ("abc", "abd")]
    with opened_store(cli.directory) as store, store.apply("cases") as tx:
        for each in ids:
            tx.run(
                "INSERT INTO syncd_case (case_id, kind, detail, opened_at) VALUES (?, 'odd', '{}', '2026-01-01')",
                (each,),
            )
    assert "7abc-8def" in cli("conflicts", "list")[1]
    assert json.loads(cli("conflicts", "show", "7abc-8def", "--json")[1])["id"] == ids[0]
    code, _, err = cli("conflicts", "show", "8def")
    assert code == 2
    assert all(each in err for each in ids)


def test_a_mismatch_says_what_differs_which_copy_is_right_and_what_to_do(cli: Cli) -> None:
    detail = {"table": "person", "audience": "scope", "seq": 7, "rows_stated": 1204, "rows_found": 1203}
    with opened_store(cli.directory) as store, store.apply("cases") as tx:
        unit_id = tx.value("SELECT value FROM syncd_meta WHERE key = 'unit_id'")
        stream_id = tx.value("SELECT stream_id FROM syncd_stream LIMIT 1")
        tx.run(
            "INSERT INTO syncd_case (case_id, kind, stream_id, unit_id, detail, opened_at)"
            " VALUES (?, 'checkpoint_mismatch', ?, ?, ?, '2026-01-01T00:00:00Z')",
            (OTHER_NODE, stream_id, unit_id, json.dumps(detail)),
        )
    out = cli("conflicts", "show", OTHER_NODE)[1]
    assert "{" not in out
    for said in (
        "table person of 42 Tỉnh thử", "1,204 rows", "1,203 rows", "the keeper's copy is the register",
        f"run `syncd verify --full --dir {cli.directory}` here, then ask IT",
    ):  # fmt: skip
        assert said in out
    assert json.loads(json.loads(cli("conflicts", "show", OTHER_NODE, "--json")[1])["why"]) == detail


@pytest.mark.parametrize("language", ["vi", "en"])
def test_json_is_the_same_in_both_languages(cli: Cli, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    with opened_store(cli.directory) as store, store.apply("cases") as tx:
        tx.run(
            "INSERT INTO syncd_case (case_id, kind, detail, opened_at) VALUES (?, 'fork', '{}', '2026-01-01')",
            (OTHER_NODE,),
        )
    cli("sql", HOUSEHOLD)
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    assert json.loads(cli("conflicts", "list", "--json")[1])[0]["title"] == "Fork: two machines extended one stream"


@pytest.mark.parametrize("verb", [("status",), ("verify",), ("sync", "--once"), ("run",)], ids=lambda verb: verb[0])
def test_where_no_node_is_every_verb_says_so(
    verb: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    assert program.run([*verb, "--dir", str(tmp_path)]) == 78
    assert f"there is no node in {tmp_path}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    prefer("auto")


def test_a_configuration_that_is_not_there_is_not_called_correct(cli: Cli, tmp_path: Path) -> None:
    path = cli.directory / "syncd.toml"
    assert f"The configuration is correct: {path}" in cli("config", "check")[1]
    path.unlink()
    code, out, _ = cli("config", "check")
    assert (code, "correct" in out) == (0, False)
    assert f"There is no {path}: defaults and environment variables are used" in out
    assert json.loads(cli("config", "check", "--json")[1])["file"] is None
    code, _, err = Cli(tmp_path / "xa2", cli.capsys)("config", "check")
    assert (code, "there is no node in" in err) == (78, True)


def test_the_password_of_a_dsn_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "syncd.toml").write_text("")
    monkeypatch.setenv("SYNCD_DATABASE", "postgresql://clerk:geheim@host/db")
    assert program.run(["config", "check", "--json", "--dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["settings"]["database"] == "postgresql://clerk@host/db"
    assert "geheim" not in out
