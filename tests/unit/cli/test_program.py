"""The program around the verbs: help, errors, exit codes, what a start costs."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from conflict.case import CaseKind
from syncd import __version__
from syncd.cases import open_case
from syncd.cli import main, program
from syncd.cli.texts import read_text
from syncd.cli.verb import Group, Verb
from syncd.config import Config
from syncd.control import Control
from syncd.enrolment import Unit, init_root
from syncd.errors import FileRefused
from syncd.node_files import open_node
from tests import forking

README = Path(__file__).parents[3] / "README.md"
# What a screen must not load: each costs more than the screen itself.
HEAVY = ("sqlalchemy", "alembic", "httpx", "starlette", "uvicorn", "cryptography.x509", "psycopg", "rich", "tenacity",
         "rapidfuzz")  # fmt: skip


def commands() -> list[tuple[str, click.Command]]:
    """Every command by the words that call it."""
    found: list[tuple[str, click.Command]] = []
    root = program.program()
    context = click.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, Group):
            found += [(f"{name} {sub}", each) for sub, each in command.commands.items()]
    return found


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    from os import environ

    described = {**environ, "SYNCD_LANGUAGE": "en", **environment}
    return forking.run("syncd", *arguments, env=described, timeout=300, cwd=cwd or forking.ROOT)


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize(("words", "command"), commands())
def test_every_help_ends_in_an_example(
    monkeypatch: pytest.MonkeyPatch, language: str, words: str, command: click.Command
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    text = CliRunner().invoke(command, ["--help"], prog_name=f"syncd {words}").output
    assert ("Cách dùng" if language == "vi" else "Usage") in text
    assert text.strip().splitlines()[-1].strip().startswith("syncd ")


@pytest.mark.parametrize(("words", "command"), [item for item in commands() if isinstance(item[1], Verb)])
def test_every_command_takes_json(words: str, command: click.Command) -> None:
    assert "--json" in {option for param in command.params for option in param.opts}


@pytest.mark.parametrize(("words", "command"), [item for item in commands() if isinstance(item[1], Verb)])
def test_every_command_but_the_demo_takes_a_directory(words: str, command: click.Command) -> None:
    assert words == "demo" or "--dir" in {option for param in command.params for option in param.opts}


@pytest.mark.parametrize("words", [words for words, command in commands() if isinstance(command, Verb)])
def test_every_command_is_documented_in_the_readme(words: str) -> None:
    assert re.search(rf"syncd {words}\b", README.read_text(encoding="utf-8"))


def test_every_configuration_key_is_documented_in_the_readme() -> None:
    from syncd.config import KEYS

    text = README.read_text(encoding="utf-8")
    assert [key for key in KEYS if f"`{key}`" not in text] == []


def test_version_is_printed() -> None:
    done = run("--version")
    assert (done.stdout, done.returncode) == (f"syncd {__version__}\n", 0)


def test_an_error_is_one_line_with_what_to_do_and_its_exit_code(tmp_path: Path) -> None:
    done = run("status", "--dir", str(tmp_path))
    assert done.returncode == 78
    assert done.stdout == ""
    assert re.fullmatch(r"error: there is no node in .+ — make one with .+\n", done.stderr)


def test_an_error_speaks_vietnamese_to_a_vietnamese_operator(tmp_path: Path) -> None:
    done = run("status", "--dir", str(tmp_path), SYNCD_LANGUAGE="vi")
    assert done.stderr.startswith("lỗi: trong ")


def test_an_unknown_command_is_a_usage_error() -> None:
    done = run("fly")
    assert done.returncode == 2
    assert "fly" in done.stderr
    assert "syncd --help" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fly",), "không có lệnh fly — xem: syncd --help"),
        (("status", "--nope"), "không có tùy chọn --nope — xem: syncd status --help"),
        (("sql", "--fil", "x"), "không có tùy chọn --fil; có phải --dir hoặc --file?"),
        (("token",), "thiếu --unit"),
        (("token", "--unit"), "--unit cần một giá trị"),
        (("conflicts", "show"), "thiếu ID"),
        (("status", "extra"), "thừa tham số: extra"),
        (("generate", "--persons", "many"), "--persons: 'many' không phải số nguyên"),
        (("import", "/no/such/file"), "FILE: không có /no/such/file"),
        (("backup", "x", "--keep", "0"), "--keep: 0 không hợp lệ, phải từ 1 trở lên — xem"),
        (("generate", "--moves", "2000"), "--moves: 2000 không hợp lệ, phải từ 0 đến 1000 — xem"),
        (("identity", "list", "--state", "blah"), "--state: 'blah' không dùng được; chọn một trong '"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_told_in_vietnamese(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    assert program.run(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("sql", "SELECT '\udce1'"), ("init", "--unit", "42", "--unit-name", "T\udce1")])
def test_an_argument_of_another_code_page_is_refused_before_anything_is_made(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNCD_DIR", str(tmp_path / "new"))
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    assert program.run(arguments) == 2
    assert f"đối số thứ {len(arguments)} không phải UTF-8" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_file_whose_name_is_no_utf8_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = os.fsdecode(os.fsencode(str(tmp_path)) + b"/so_\xe1.csv")
    Path(odd).touch()
    program.run(("import", odd, "--dir", str(tmp_path)))
    assert "UTF-8" not in capsys.readouterr().err


def test_a_script_on_standard_input_is_read_whole_as_utf8_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def given(data: bytes) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))
        return read_text(Path("-"), 8)

    assert given("\ufeffbà;".encode()) == "bà;"
    assert given(b"") == ""
    for data, said in ((b"b\xe0;", "UTF-8"), (b"12345678;", "8 bytes"), ("bà".encode("utf-16"), "not text")):
        with pytest.raises(FileRefused, match=said):
            given(data)


def test_nothing_that_click_says_of_an_option_stays_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    text = "\n".join(
        CliRunner().invoke(command, ["--help"], prog_name=f"syncd {words}").output for words, command in commands()
    )
    assert "[bắt buộc]" in text
    assert not re.search(r"\[(required|default|env var)", text)


def test_without_a_command_the_help_itself_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(()) == 2
    assert "syncd demo" in capsys.readouterr().err


def test_an_unknown_key_names_the_key_and_the_file(tmp_path: Path) -> None:
    (tmp_path / "syncd.toml").write_text("liste = '0.0.0.0:1'\n")
    done = run("config", "check", "--dir", str(tmp_path))
    assert done.returncode == 78
    assert "'liste'" in done.stderr
    assert "listen" in done.stderr


def test_check_of_an_unreadable_node_is_unknown(tmp_path: Path) -> None:
    done = run("status", "--check", "--dir", str(tmp_path))
    assert done.returncode == 3
    assert done.stdout.startswith("SYNCD UNKNOWN")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("{syncd} status --check --dir {place} > /dev/full", 3),
        ("PYTHONUNBUFFERED=1 {syncd} status --check --dir {place} > /dev/full", 3),
        ("{syncd} status --check --dir {place} >&-", 3),
        ("{syncd} status --check --dir {place} > /dev/full 2> /dev/full", 3),
        ("{syncd} status --check --dir {place} >&- 2>&-", 3),
        ("{syncd} status --dir {place} 2> /dev/full", 78),
        ("{syncd} --help > /dev/full", 75),
        ("PYTHONUNBUFFERED=1 {syncd} --help > /dev/full", 75),
        ("{syncd} --help >&-", 0),
        ("{syncd} --version > /dev/full", 75),
        ("{syncd} --version > /dev/full 2>&-", 75),
        ("{syncd} --version >&-", 0),
        ("{syncd} join --dir {place}/new - <&-", 77),
    ],
)
def test_output_that_cannot_be_written_is_no_traceback(command: str, code: int, tmp_path: Path) -> None:
    line = command.format(syncd=f"{sys.executable} -m syncd", place=tmp_path)
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        ["sh", "-c", line], cwd=forking.ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], *([verb, "--help"] for verb in program.VERBS)], ids=" ".join
)
def test_a_full_disk_behind_stdout_is_one_line_whatever_was_asked(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["syncd", *words])
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main() == 75
    [line] = capsys.readouterr().err.splitlines()
    assert "stdout" in line


def test_the_directory_may_come_from_the_environment(tmp_path: Path) -> None:
    assert str(tmp_path) in run("status", SYNCD_DIR=str(tmp_path)).stderr


def test_version_loads_nothing() -> None:
    loaded = modules_after("import sys; sys.argv = ['syncd', '--version']; from syncd.cli import main; main()")
    assert not {"click", "msgspec", *HEAVY} & loaded


def test_status_loads_no_stage_and_nothing_heavy() -> None:
    loaded = modules_after(
        "import syncd.cli.program, syncd.cli.status, syncd.cli.status_text, syncd.cli.place, syncd.config,"
        " syncd.status, syncd.control, syncd.store.sqlite"
    )
    assert not {*HEAVY, "syncd.pipeline", "syncd.decide"} & loaded


def test_status_of_a_node_that_runs_loads_only_what_it_shows(tmp_path: Path) -> None:
    init_root(tmp_path, Unit(code="42", name="Tỉnh thử", level="province"), Config())
    with closing(open_node(tmp_path)) as opened, opened.store.apply("case") as tx:
        open_case(tx, CaseKind.CLOCK_FAR_OFF, ("x",), opened_at="2026-03-01T00:00:00Z", detail={})
    answering = Control(tmp_path, lambda: {"pid": 1}, bytes, {})
    try:
        loaded = modules_after(f"from syncd.cli.program import run; run(['status', '--dir', {str(tmp_path)!r}])")
    finally:
        answering.close()
    assert "syncd.cli.status_text" in loaded
    beside = {"_strptime", "encodings.idna", "sqlite3", "syncd.disagreements", "conflict.verdict"}
    assert not {*HEAVY, *beside, "syncd.pipeline", "syncd.decide"} & loaded


def modules_after(code: str) -> set[str]:
    """The modules a fresh process has loaded after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('MODULES', *sys.modules)"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return set(done.stdout.partition("MODULES ")[2].split())
