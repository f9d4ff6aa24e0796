"""Every command that the program prints runs as it stands: read from the source, worded for a node named by --dir."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import syncd
from syncd.cli.place import meant, speak_of
from syncd.cli.program import VERBS, program
from syncd.cli.reasons import told_text
from syncd.cli.status_text import _wrapped as wrapped
from syncd.language import Both, english_of, say
from syncd.net import http
from syncd.text import command

PACKAGE = Path(syncd.__file__).parent
TYPED = re.compile(rf"syncd (?:{'|'.join(VERBS)})\b")
MARKED = re.compile(r"\[\[(.+?)\]\]", re.DOTALL)
# Said of another machine, of no node at all, or of what a command has done: texts that hold one of these stay plain.
ELSEWHERE = (
    "at the root",
    "tại máy gốc",
    "at the node that keeps it",
    "tại nơi giữ sổ",
    "at the machine that stays",
    "tại máy giữ lại",
    "see at {keeper}",
    "xem tại {keeper}",
    "the other machine",
    "máy kia",
    "a tier above",
    "tuyến trên",
    "have the parent's operator",
    "nhờ người quản trị cấp trên",
    "ask {node}",
    "nhờ {node}",
    "At the province",
    "tại tỉnh",
    "(there: ",
    "(chạy ở đó: ",
    "that machine was seized",
    "máy đó bị chiếm",
    "`syncd backup` has written",
    "`syncd backup` ghi",
    "was interrupted",
    "vừa bị ngắt",
    "run the same `syncd init`",
    "lại đúng lệnh `syncd init`",
    "make the root anew",
    "tạo lại máy gốc",
    "make it anew",
    "tạo lại bằng syncd init",
    "Proof: ",
    "Đối soát toàn bộ: ",
    "syncd demo — ",
    "syncd sql does not",
    "syncd sql không",
    "wrote {path}",
)


@pytest.fixture(autouse=True)
def _of_no_node() -> Iterator[None]:
    yield
    command.forget()


@cache
def texts() -> list[tuple[str, str]]:
    """The same, read once."""
    return list(_texts())


def _texts() -> Iterator[tuple[str, str]]:
    """(place, text) of what is said to an operator; help, which speaks of no node, left out."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        helps = {id(inner) for node in ast.walk(tree) if _is_help(node) for inner in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and id(node) not in helps and getattr(node.func, "id", "") in ("say", "Both"):
                for text in node.args[:2]:
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        yield f"{path.relative_to(PACKAGE)}:{node.lineno}", text.value


def _is_help(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("verb", "option", "Group")


def parsed(line: str) -> dict[str, object]:
    """The parameters of the last command that `line` names. Raises click.UsageError where it is not one."""
    words = shlex.split(line)
    assert words.pop(0) == "syncd"
    context = click.Context(program(), info_name="syncd")
    found: click.Command = program()
    while isinstance(found, click.Group):
        name, below, words = found.resolve_command(context, list(words))
        assert below is not None
        if isinstance(below, click.Group) and not words:
            break
        context, found = click.Context(below, parent=context, info_name=name), below
    try:
        return found.make_context("syncd", list(words), parent=context.parent).params
    except click.MissingParameter:
        raise
    except click.BadParameter as error:
        if "exist" not in error.message:  # a file that stands for another
            raise
        return {}
    finally:
        command.forget()


def test_commands_for_the_node_at_hand_are_marked_all_others_are_for_another() -> None:
    every = texts()
    assert sum("[[" in text for _, text in every) > 90
    plain = [(place, text) for place, text in every if TYPED.search(MARKED.sub("", text))]
    assert [each for each in plain if not any(where in each[1] for where in ELSEWHERE)] == []


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_command_of_a_text_is_one_that_the_program_takes(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    lines = {re.sub(r"\{\w+\}", "x", line) for _, text in texts() for line in MARKED.findall(text)}
    assert len(lines) > 30
    for line in sorted(lines):
        speak_of(Path("/srv/đồng bộ/xã"))
        assert parsed(command.at_hand(line)).get("directory", Path("/srv/đồng bộ/xã")) == Path("/srv/đồng bộ/xã"), line


def test_the_directory_is_named_where_it_had_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCD_DIR", raising=False)
    assert meant(None) == Path("/var/lib/syncd")
    speak_of(None)
    assert say("[[syncd status]]", "[[syncd status]]") == "syncd status"
    (tmp_path / "signing.key").touch()
    assert meant(None) == Path(".")
    speak_of(None)
    assert command.at_hand("syncd status") == "syncd status"
    assert command.at_hand("syncd restore X") == "syncd restore X --dir ."
    monkeypatch.setenv("SYNCD_DIR", "của tôi")
    speak_of(None)
    assert command.at_hand("syncd status") == "syncd status --dir 'của tôi'"
    speak_of(Path("huyen"))
    assert command.at_hand("syncd status") == "syncd status --dir huyen"


@pytest.mark.parametrize(
    ("word", "posix", "windows"),
    [
        ("huyen", "huyen", "huyen"),
        ("C:\\syncd\\xa", "'C:\\syncd\\xa'", "C:\\syncd\\xa"),
        ("C:\\Dân số\\", "'C:\\Dân số\\'", '"C:\\Dân số\\\\"'),
        ("it's $HOME; & %x%", "'it'\"'\"'s $HOME; & %x%'", '"it\'s $HOME; & %x%"'),
        ("", "''", '""'),
    ],
)
def test_a_directory_is_quoted_for_the_shell(word: str, posix: str, windows: str) -> None:
    assert command.quoted(word, "posix") == posix
    assert command.quoted(word, "nt") == windows
    assert shlex.split(posix) == [word]


@pytest.mark.parametrize("language", ["vi", "en"])
def test_what_is_stored_names_no_directory_and_what_is_shown_does(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    speak_of(Path("a {b}"))
    for said in (
        say("xem [[syncd conflicts show {id}]]", "see [[syncd conflicts show {id}]]", id=7),
        Both("xem [[syncd conflicts show 7]]", "see [[syncd conflicts show 7]]").here,
    ):
        assert said.endswith("syncd conflicts show 7 --dir 'a {b}'")
        assert english_of(said) == "see syncd conflicts show 7"
    remedy = "run `syncd repair` here; if the stream still stands, run it at the node that keeps it (x)"
    stored = f"a stream stands — {remedy}"
    assert "`syncd repair --dir 'a {b}'`" in told_text(stored)


def test_a_fact_is_no_command() -> None:
    speak_of(Path("x"))
    fact = "[[syncd status]]"
    assert say("lý do: {fact}", "reason: {fact}", fact=fact).endswith(fact)


def test_bounds_of_the_command_line_have_their_names_in_limits() -> None:
    """What is measured in cells of a terminal is its layout and stays."""
    own = [
        f"{path.name}: {name}"
        for path in sorted((PACKAGE / "cli").glob("*.py"))
        for name in re.findall(r"^(\w+_(?:MAX|MIN))\b.*=", path.read_text(encoding="utf-8"), re.MULTILINE)
        if not name.endswith("_CELLS_MAX") and name != "CELLS_MAX"
    ]
    assert own == []


def test_a_screen_names_a_node_by_its_short_id(monkeypatch: pytest.MonkeyPatch) -> None:
    node = "0198b2c4-7a10-7d20-9c11-5a3f9e77ab02"
    stored = {
        f"https://p:1 (node {node}) does not answer (x) — y": ("p:1 (máy 9e77ab02)", "p:1 (node 9e77ab02)"),
        f"https://p:1 (node {node}): node {node} was given another certificate since — y": (
            "máy 9e77ab02 đã", "node 9e77ab02 was",
        ),
        f"node {node} is not enrolled below this node — y": ("máy 9e77ab02 chưa", "node 9e77ab02 is"),
    }  # fmt: skip
    for place, language in enumerate(("vi", "en")):
        monkeypatch.setenv("SYNCD_LANGUAGE", language)
        for text, shown in stored.items():
            assert shown[place] in told_text(text)
            assert node not in told_text(text)
        assert http.place_of("https://p", node) == ("https://p (máy 9e77ab02)", "https://p (node 9e77ab02)")[place]
        assert english_of(http.place_of("https://p", node)) == f"https://p (node {node})"


def test_a_line_of_the_screen_is_not_broken_within_a_command() -> None:
    speak_of(Path("/srv/a-long-place/" + "of-the-commune-" * 9 + "and a space"))
    text = say(
        "một câu dài " * 9 + "chạy `[[syncd repair]]` đi", "a long sentence " * 9 + "run `[[syncd repair]]` here"
    )
    assert any(f"`{command.at_hand('syncd repair')}`" in line for line in wrapped(text, ""))
