"""Each fault of a table that a deployment describes is said in a sentence, and nothing it holds makes a traceback."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schema import described
from schema.install import statements
from schema.spec import Apart, Audience, Column, Fold, Kind, Partly, Table, Type
from schema.tables import registry
from syncd.errors import ConfigError
from syncd.node.faults import faults
from syncd.node.tables import load_tables
from tests.schema_builders import IDENTITY


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")


def column(number: int = 2, name: Any = "title", type: Any = Type.TEXT, **more: Any) -> Column:
    return Column(number=number, name=name, type=type, **more)


def table(*columns: Any, **more: Any) -> Table:
    given = {"number": 1000, "name": "book", "kind": Kind.REGISTER, "columns": columns or (column(),), **more}
    return Table(**given)


REFERS = column(3, "book_id", Type.UUID, references="book", inside_unit=True)
GOOD = {
    "plain": [table()],
    "a word of SQL": [table(column(name="select"), name="order")],
    "mixed case": [table(name="PlaylistTrack")],
    "Vietnamese": [table(column(name="địa_chỉ"), name="hộ_khẩu")],
    "a child numbered before its parent": [
        table(column(), replace(REFERS, references="shelf")), table(number=1001, name="shelf"),
    ],
    "refers to itself": [table(column(), REFERS)],
    "counted": [table(
        column(2, "sex", Type.INT), column(3, "day", Type.DATE, nullable=False),
        fold=Fold(measure="birth", columns=("sex",), date_column="day"),
    )],
    "the greatest number": [table(number=65_535)],
    "a rule that may be unknown": [table(column(check="title IS NULL OR length(title) > 1"))],
    "a rule of what few read": [table(column(audience=Audience.CUSTODIAN, check="title <> 'like'"))],
    "rules of their own for each database": [
        table(column(check_sqlite="title GLOB 'a*'", check_postgres="title LIKE 'a%'")),
    ],
}  # fmt: skip


@pytest.mark.parametrize("tables", GOOD.values(), ids=list(GOOD))
def test_what_works_on_both_databases_is_taken(tables: list[Table]) -> None:
    assert faults(tables) == []


INDEX = Partly(name="p", columns=("title",), only="true")
BAD: dict[str, tuple[list[Any], str]] = {
    "no table": (["book"], "element 1 is a str"),
    "a number of the system's": ([table(number=999)], "number 999 is not in 1000…65535"),
    "a number beyond": ([table(number=65_536)], "65536 is not in"),
    "a number that is a text": ([table(number="1000")], "number '1000'"),
    "two of one number": ([table(), table(name="page")], "same number 1000"),
    "two of one name": ([table(), table(number=1001, name="Book")], "two tables are called Book"),
    "a blank in a name": ([table(name="my book")], "letters, digits and underscores"),
    "no name": ([table(name=None)], "a name is a text"),
    "decomposed letters": ([table(name="ho\u0323\u0302")], "a name is letters|NFC"),
    "the records' own name": ([table(name="PERSON")], "syncd has a table of this name"),
    "a name of ours": ([table(name="Syncd_x")], "names that begin with syncd_"),
    "a view's name": ([table(name="book_with_pending")], "_with_pending"),
    "a long name": ([table(name="b" * 50)], r"syncd_b+_propose_\w+ made of it has \d+ bytes, at most 63"),
    "a long column": ([table(column(name="c" * 55))], "ck_book_c+_type made of it"),
    "a long name in bytes": ([table(name="ộ" * 15)], "made of it has"),
    "triggers of one name": ([table(name="a"), table(number=1001, name="a_propose")], "made of it is a's"),
    "a name our triggers have": ([table(name="keeper")], "syncd_keeper_insert made of it is syncd's"),
    "a kind of the system's": ([table(kind=Kind.CONTROL)], "use Kind.REGISTER or Kind.OVERSIGHT"),
    "a kind that is a text": ([table(kind="register")], "kind is 'register'"),
    "no column": ([Table(number=1000, name="book", kind=Kind.REGISTER, columns=())], "it has no column"),
    "our column": ([table(column(name="Unit_ID"))], "this column name is taken"),
    "SQLite's column": ([table(column(name="rowid"))], "taken"),
    "PostgreSQL's column": ([table(column(name="xmin"))], "taken"),
    "two columns": ([table(column(), column(3, "Title"))], "two columns are called Title"),
    "a type": ([table(column(type="text"))], "there is no type 'text'; use Type.UUID"),
    "an audience": ([table(column(audience=Audience.PUBLIC))], "use Audience.SCOPE or Audience.CUSTODIAN"),
    "filled for few": ([table(column(audience=Audience.CUSTODIAN, nullable=False))], "must be nullable"),
    "a policy": ([table(column(policy="newest"))], "there is no policy 'newest'; use keeper"),
    "a policy of other types": ([table(column(type=Type.UUID, policy="max"))], "max means nothing for type uuid"),
    "a bound": ([table(column(chars_max=0))], "chars_max is 0, it must be 1 to"),
    "a bound beyond": ([table(column(type=Type.BYTES, bytes_max=2**31))], "bytes_max is"),
    "on delete": ([table(column(), replace(REFERS, on_delete="explode"))], "on_delete is 'explode'; use restrict"),
    "set null": ([table(column(), replace(REFERS, on_delete="set null", nullable=False))], "is not nullable"),
    "an unknown table": ([table(column(), replace(REFERS, references="shelf"))], "table 'shelf', which is not there"),
    "a reference that is no id": ([table(column(references="unit"))], "needs the type Type.UUID"),
    "a key out of the unit": ([table(column(), replace(REFERS, references="unit"))], "two tables of Kind.REGISTER"),
    "keys in a circle": (
        [table(column(), replace(REFERS, references="page")), table(column(), REFERS, number=1001, name="page")],
        "lead back to it",
    ),
    "a measure": ([table(fold=Fold(measure="sales", columns=("title",)))], "no fold.measure 'sales'"),
    "what is not counted": ([table(fold=Fold(measure="birth", columns=("x",)))], "columns that are not there: x"),
    "how it is counted": ([table(fold=Fold(measure="birth", columns=("title",)))], "needs as columns"),
    "an index": ([table(indexes=(("x",),))], "names a column that is not there"),
    "an index that is a text": ([table(indexes=("title",))], "tuples of column names"),
    "a rule": ([table(column(check="title >"))], "rule ck_book_title_rule cannot be used"),
    "a rule for one database": ([table(column(check_sqlite="title > ''"))], "need each other"),
    "a rule of the table": ([table(checks=(("x", "nobody > 1"),))], "no such column: nobody"),
    "a name that is no column": ([table(column(check='"Title" <> \'x\' OR "nobody" > 1'))], "no such column: nobody"),
    "today": ([table(column(type=Type.DATE, check="title <= CURRENT_DATE"))], "another answer at another time"),
    "now": ([table(column(check_sqlite="title < date('now')", check_postgres="title < now()"))], "'now' gives another"),
    "chance": ([table(column(type=Type.INT, check="title > random()"))], "random gives another answer"),
    "capitals": ([table(column(check="title LIKE 'a%'"))], "LIKE means other things on SQLite"),
    "letters": ([table(checks=(("x", "lower(title) = title"),))], "lower means other things on SQLite"),
    "a rule about nothing": ([table(column(check="title IS NOT NULL"))], "the rule refuses an empty value"),
    "a rule of the table about nothing": ([table(checks=(("x", "coalesce(title, '') <> ''"),))], "refuses an empty"),
    "a rule that few can judge": (
        [table(column(audience=Audience.CUSTODIAN), column(3, "other"), checks=(("x", "title <> other"),))],
        "tiers between have no value to compare",
    ),
    "a view's column": ([table(column(name="is_past"))], "this column name is taken"),
    "a view of SQLite's": ([table(name="sqlite")], "names that begin with"),
    "something among the columns": ([table(SimpleNamespace(number=2, name="x"))], "1 of columns is a SimpleName"),
    "what the release has for itself": (
        [table(above="title", apart=(Apart(column="title", other="id"),), partly=(INDEX,))],
        "partly is for syncd's own tables alone",
    ),
    "rules of one name": ([table(checks=(("title_type", "true"),))], "two rules or keys have one name"),
}  # fmt: skip


@pytest.mark.parametrize(("tables", "said"), BAD.values(), ids=list(BAD))
def test_each_fault_is_said_in_a_sentence(tables: list[Any], said: str) -> None:
    found = faults(tables)
    assert found
    with pytest.raises(ConfigError, match=said):
        raise ConfigError("\n".join(found), "")


STRANGE: tuple[Any, ...] = (
    None, True, 0, -1, 2.0, float("nan"), 10**400, "", "title", "%s", "\ud800", b"x", [], (), {}, set(), object(), int,
    ["title"], ("title",), (("title",),), [[[]]], (None,), (5, 6), ("a", "b"), (("a", "b"),), {"a": 1}, Kind.CONTROL,
    Type.DATE, Audience.PUBLIC, SimpleNamespace(name="q"), Partly(name="p", columns=("title",), only="true"),
    (Apart(column="x", other="y"),), (Partly(name=None, columns=(), only=""),),  # type: ignore[arg-type]  # strange on purpose
    Fold(measure=[], columns=({},)), Fold(measure="birth", columns=("title",), date_column={}),  # type: ignore[arg-type]  # likewise
)  # fmt: skip


TAKEN: set[str] = set()  # descriptions of which a database was made


@pytest.mark.parametrize("field", [f"table.{field.name}" for field in fields(Table) if field.init]
                         + [f"column.{field.name}" for field in fields(Column)])  # fmt: skip
def test_no_part_of_a_description_holds_what_makes_a_traceback(field: str) -> None:
    """Each part of a table, and of a column that refers, with each of these values: it is a fault, or it works."""
    of, _, name = field.partition(".")
    for value in STRANGE:
        more = {name: value}
        try:
            tables = [table(**more)] if of == "table" else [table(column(), replace(REFERS, **more))]
        except (TypeError, ValueError, AttributeError):
            continue  # the class itself takes no such thing: what the module raises is said
        found = faults(tables)
        "\n".join(found).encode()
        text = "" if found else described.as_text(registry(tuple(tables)))
        if text and text not in TAKEN:
            TAKEN.add(text)
            with closing(sqlite3.connect(":memory:")) as connection:
                for statement in statements("sqlite-portable", registry(tuple(tables)), IDENTITY):
                    connection.execute(statement)


MODULE = """
from schema.spec import Column, Kind, Table, Type
TABLES = (Table(number=1000, name="book", kind=Kind.REGISTER, columns=(Column(number=2, name="t", type=Type.TEXT),)),)
"""


@pytest.mark.parametrize(
    ("text", "setting", "said"),
    [
        (MODULE, "missing:TABLES", "module missing is not found, nor in"),
        (MODULE, "tables:ROWS", "has no ROWS"),
        (MODULE, "tables", "not module:NAME"),
        (MODULE, "../tables:TABLES", "not module:NAME"),
        ("TABLES = 5", "tables:TABLES", "TABLES is a int, not a tuple"),
        ("TABLES = (", "tables:TABLES", r"SyntaxError.*tables\.py:1"),
        ("x = 1\nTABLES = 1 / 0", "tables:TABLES", r"ZeroDivisionError.*tables\.py:2"),
        ("import nothing_of_the_kind", "tables:TABLES", r"ModuleNotFoundError.*tables\.py:1"),
        ("raise SystemExit(3)", "tables:TABLES", "SystemExit"),
        ("raise GeneratorExit", "tables:TABLES", "GeneratorExit"),
        ("class E(BaseException): pass\nraise E('odd')", "tables:TABLES", r"E: odd \(.*tables\.py:2"),
        (
            "class X:\n def __str__(self): raise ValueError\nraise RuntimeError(X())",
            "tables:TABLES",
            r"RuntimeError: +\(",
        ),
        ("raise ValueError('x' * 100000)", "tables:TABLES", "x{300}…"),
        ("def __getattr__(name): raise RuntimeError(name)", "tables:TABLES", "RuntimeError: TABLES"),
        ("class T(tuple):\n def __iter__(self): raise OSError('no')\nTABLES = T((1,))", "tables:TABLES", "OSError: no"),
        ("x = 1\0", "tables:TABLES", "null bytes"),
        ("from . import x", "tables:TABLES", "ImportError"),
        (MODULE, "n" * 300 + ":TABLES", "is not found"),
        (
            MODULE.replace("columns=(", "column=("),
            "tables:TABLES",
            r"unexpected keyword argument 'column' .*tables\.py:3",
        ),
        (MODULE.replace("number=2", "number=7"), "tables:TABLES", "numbers must run from 2"),
        (MODULE.replace('"book"', '"person"'), "tables:TABLES", "has 1 faults:\n1. table 'person'"),
    ],
)
def test_whatever_the_module_holds_is_said(tmp_path: Path, text: str, setting: str, said: str) -> None:
    (tmp_path / "tables.py").write_text(text)
    with pytest.raises(ConfigError, match=f"(?s){said}"):
        load_tables(setting, tmp_path)


def test_a_module_lies_beside_the_settings_of_its_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes of one process have each their own; where the process was started counts for nothing."""
    for name in ("one", "two", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tables.py").write_text(MODULE.replace('"book"', f'"book_{name}"'))
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("one", "two", "one"):
        assert f"book_{name}" in load_tables("tables:TABLES", tmp_path / name).by_name
    assert not (tmp_path / "one" / "__pycache__").exists()
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigError, match="is not found"):
        load_tables("tables_of_nobody:TABLES", tmp_path / "none")


def test_a_module_never_stands_in_the_place_of_a_library(tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text(MODULE)
    known = sys.modules["msgspec"]
    with pytest.raises(ConfigError, match="installed library"):
        load_tables("msgspec:TABLES", tmp_path)
    assert sys.modules["msgspec"] is known


def test_what_a_module_prints_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tables.py").write_text(f"print('hello')\n{MODULE}")
    load_tables("tables:TABLES", tmp_path)
    assert capsys.readouterr() == ("", "hello\n")


def test_a_program_started_beside_another_module_does_not_take_it(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "tables.py").write_text(MODULE)
    (tmp_path / "node" / "syncd.toml").write_text('extra_tables = "tables:TABLES"\n')
    ended = subprocess.run(
        [sys.executable, "-m", "syncd", "config", "check", "--dir", str(tmp_path / "node")],
        cwd=tmp_path / "here", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 78
    assert "tables" in ended.stderr
    assert "Traceback" not in ended.stderr
