"""Every operator's text stands in both languages and names the same facts in both: read from the source itself."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

import pytest

import conflict
import schema
import syncd
from syncd import errors
from syncd.cli.output import plain
from syncd.cli.reasons import told, told_once, told_text
from syncd.errors import DiskFull, JoinRefused, SyncdError, TokenUsed, written
from syncd.language import LANGUAGES, Both, decimal, english_of, language, number, prefer, say
from syncd.net.http import decode_error, encode_error

PACKAGE = Path(syncd.__file__).parent
NAMES = ("say", "Both")
# What only who builds this would understand; commands and options keep their names.
NOT_OFFICERS = re.compile(r"(?<![\w-])(nút|luồng|daemon|verdict|lô|mốc)(?!\w)", re.IGNORECASE)
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, SyncdError)}

# Modules whose errors an operator meets in the process that raises them: both languages, chosen there and then.
SPOKEN = (
    "config.py", "setup.py", "identity_files.py", "node_files.py", "startup.py", "system.py", "once.py", "enrolment.py",
    "admission.py", "proposing.py", "disagreements.py", "security/*.py", "store/*.py", "net/client.py", "net/http.py",
    "inputs/*.py", "cli/*.py", "demo/*.py",
)  # fmt: skip
# (module, function) whose texts stay English, and why.
ENGLISH_ONLY = {
    ("security/authority.py", "_requested_key"): "sent to the station that asked, which speaks its own language",
    ("net/http.py", "feed"): "sent to the child whose message is too large",
    ("net/http.py", "require"): "sent to the child whose body ends early",
}
# All others raise reasons that are stored with a stream or sent: English, and known to `cli/reasons.py`.
REPORTED = tuple(sorted(
    {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    - {path.relative_to(PACKAGE).as_posix() for pattern in SPOKEN for path in PACKAGE.glob(pattern)}
))  # fmt: skip
# The same for what is said in both languages here and stored in English with a neighbour or a worker.
STORED = ("net/client.py", "store/sqlite.py", "store/postgres.py", "admission.py")
# Of those, what is only ever met where it is raised.
NOT_STORED = (
    "SQLite refused synchronous=FULL", "use a SQLite build that allows durable commits", "PostgreSQL runs with",
    "in postgresql.conf and reload", "an answer without its message", "this node does not know the address",
    "set `listen` and `addresses` in syncd.toml", "a token valid for", "choose 1 to", "this node itself keeps unit",
    "name the unit of the node that shall join", "no unit at or below", "right after joining, wait",
    "several units have", "no unit valid today has", "the code", "give the unit's id instead",
    "the setting is encrypted = ", "in syncd.toml", "out of syncd.toml", "cannot read",
)  # fmt: skip


def texts() -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """(place, Vietnamese, English) of every pair in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
            if node.func.id in NAMES and len(node.args) >= 2:
                yield place, node.args[0], node.args[1]
            elif node.func.id == "option":
                named = {keyword.arg: keyword.value for keyword in node.keywords}
                yield place, named["vi"], named["en"]


def literal_texts() -> list[tuple[str, str, str]]:
    return [
        (place, vi.value, en.value)
        for place, vi, en in texts()
        if isinstance(vi, ast.Constant)
        and isinstance(en, ast.Constant)
        and isinstance(vi.value, str)
        and isinstance(en.value, str)
    ]


def facts_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def raised(modules: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """(module, function, text as it would read) of every literal message and hint of an error of ours."""
    for path in sorted({path for pattern in modules for path in PACKAGE.glob(pattern)}):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module = path.relative_to(PACKAGE).as_posix()
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                known = {**assigned(tree.body), **assigned(function.body)}
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ERRORS:
                        for value in [*call.args, *(keyword.value for keyword in call.keywords)]:
                            text = rendered(known.get(value.id, value) if isinstance(value, ast.Name) else value)
                            if text is not None:
                                yield module, function.name, text


def assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Names that stand for an expression in a body."""
    return {
        target.id: node.value
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def rendered(value: ast.expr) -> str | None:
    """A literal text with `x` for its facts; None for what is no literal."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in value.values)
    return None


def is_prose(text: str) -> bool:
    """Two words or more: a name alone needs no translation."""
    return sum(len(word) > 1 and word.strip(":,.;").isalpha() for word in text.split()) > 1


def test_there_are_texts_to_examine() -> None:
    assert len(literal_texts()) > 250


def test_every_text_has_both_languages() -> None:
    assert [place for place, vi, en in literal_texts() if not vi.strip() or not en.strip()] == []


def test_both_languages_name_the_same_facts() -> None:
    assert [(place, vi, en) for place, vi, en in literal_texts() if facts_of(vi) != facts_of(en)] == []


def test_no_vietnamese_text_speaks_of_how_it_is_built() -> None:
    texts_met = list(vietnamese())
    assert len(texts_met) > 900
    assert [(place, text) for place, text in texts_met if NOT_OFFICERS.search(text)] == []


def vietnamese() -> Iterator[tuple[str, str]]:
    """(place, text) of every literal of the packages that holds a Vietnamese letter."""
    for package in (syncd, conflict, schema):
        for path in sorted(Path(package.__path__[0]).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.expr):
                    text = rendered(node) or ""
                    if any(letter in "đĐ" or len(normalize("NFD", letter)) > 1 for letter in text):
                        yield f"{path.name}:{node.lineno}", text


def test_longer_texts_are_not_the_same_in_both_languages() -> None:
    same = [place for place, vi, en in literal_texts() if vi == en and len(vi.split()) > 3]
    assert same == []


def test_errors_an_operator_meets_are_said_in_both_languages() -> None:
    found = [each for each in raised(SPOKEN) if is_prose(each[2])]
    assert [each for each in found if each[:2] not in ENGLISH_ONLY] == []
    assert {each[:2] for each in found} == set(ENGLISH_ONLY), "an exception nobody needs any more"


def test_reasons_of_other_processes_are_known_in_vietnamese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    texts_met = [text for _, _, text in raised(REPORTED) if is_prose(text)]
    for place, vi, en in literal_texts():
        if place.partition(":")[0] in STORED and vi != en and not any(part in en for part in NOT_STORED):
            texts_met.append(en.format_map(dict.fromkeys(facts_of(en), "x")))
    assert len(texts_met) > 100
    unknown = [text for text in texts_met if told_text(text) == text and told_text(f"x — {text}") == f"x — {text}"]
    assert unknown == []


@pytest.mark.parametrize("text", [
    "stream 79cf follows stream 80aa, which is not applied up to 5 here — the stream goes on by itself when the one"
    " before it has arrived",
    "stream s decides what the stream of unit u has not referred to it here — the stream goes on by itself when the"
    " other one has arrived",
    "envelope 7 of stream s has 3 bytes too many — nothing was applied; restore the last backup of this database",
])  # fmt: skip
def test_a_stored_reason_leaves_no_english_behind(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    told = told_text(text)
    assert not {"stream", "the", "envelope", "not", "of"} & set(told.split())
    assert all(fact in told for fact in re.findall(r"\d+|\b[su]\b", text))


def test_a_command_that_ends_with_an_error_promises_nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    promising = [
        (vi, en) for _, vi, en in literal_texts() if re.search(r"\btr(y|ies|ied) again by itself|retried by", en)
    ]
    assert len(promising) > 5
    for vi, en in promising:
        facts = dict.fromkeys(facts_of(en), "x")
        monkeypatch.setenv("SYNCD_LANGUAGE", "en")
        assert "by itself" not in told_once(SyncdError("what happened", say(vi, en, **facts))), en
        monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
        assert "tự thử lại" not in told_once(SyncdError("điều đã xảy ra", say(vi, en, **facts))), vi


def test_what_is_stored_sent_or_json_is_english_whoever_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    error = DiskFull(say("đĩa đầy: {what}", "no space: {what}", what=say("tệp", "file")), say("xóa bớt", "delete some"))
    assert (str(error), written(error)) == ("đĩa đầy: tệp — xóa bớt", "no space: file — delete some")
    assert plain({"error": error.message, "count": number(12345)}) == {"error": "no space: file", "count": "12,345"}
    assert type(english_of(error.message)) is str
    sent = decode_error(507, encode_error(error), "https://p (node x)")
    assert sent.english == "https://p (node x): no space: file — delete some"


def test_what_a_parent_answers_is_told_in_the_childs_language(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "https://p:1 (node 01900000-0000-7000-8000-0000000000aa): "
    known = TokenUsed(f"{place}another node has used that token", "ask the parent's operator for a new one")
    new = JoinRefused(f"{place}a reason of a later release", "do as it says")
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    here = "https://p:1 (máy 000000aa): "
    assert told(known) == f"{here}máy khác đã dùng mã đó — xin người quản trị cấp trên mã mới"
    assert told(new) == f"cấp trên từ chối gia nhập: {here}a reason of a later release — do as it says"
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    assert told(known) == str(known).replace("01900000-0000-7000-8000-0000000000aa", "000000aa")


@pytest.mark.parametrize(("variable", "value", "expected"), [
    ("SYNCD_LANGUAGE", "vi", "vi"), ("SYNCD_LANGUAGE", "EN", "en"), ("LC_ALL", "vi_VN.UTF-8", "vi"),
    ("LANG", "en_US.UTF-8", "en"), ("LANG", "C", "en"),
])  # fmt: skip
def test_language_follows_the_setting_then_the_locale(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    for name in ("SYNCD_LANGUAGE", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    prefer("auto")  # whatever a node that an earlier test opened was configured for
    assert language() == expected


def test_the_configured_language_stands_between_the_setting_and_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNCD_LANGUAGE", raising=False)
    monkeypatch.setenv("LANGUAGE", "en")
    try:
        prefer("vi")
        assert language() == "vi"
        monkeypatch.setenv("SYNCD_LANGUAGE", "en")
        assert language() == "en"
    finally:
        prefer("auto")


def test_texts_and_numbers_are_written_as_each_language_does(monkeypatch: pytest.MonkeyPatch) -> None:
    written = {}
    for name in LANGUAGES:
        monkeypatch.setenv("SYNCD_LANGUAGE", name)
        written[name] = (say("{n} xã", "{n} communes", n=number(12345)), decimal(1234.56), Both("có", "yes").here)
    assert written == {
        "vi": ("12.345 xã", "1.234,6", "có"),
        "en": ("12,345 communes", "1,234.6", "yes"),
    }
