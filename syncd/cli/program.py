"""The program `syncd`: finds the verb's file, runs it, turns errors into one line and an exit code.

Enters: arguments. Leaves: an exit code. Must hold: a verb's file is imported only when that verb, or the list of all,
is asked for; errors of the program's own tree are shown as "what happened — what to do", never as a traceback.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from syncd.cli.alone import require_own_packages
from syncd.cli.progress import tell_waiting
from syncd.cli.verb import Group
from syncd.errors import ConfigError, SyncdError
from syncd.language import Both, say
from syncd.store.patience import patient
from syncd.text import command, escaped

INTERRUPTED = 130  # as a shell reports SIGINT
BUG = 70  # EX_SOFTWARE of sysexits.h
UNTOLD = 3  # `status --check` whose line nobody can read: unknown to monitoring

# Verb → file. The order is that of a node's life.
VERBS = {
    "demo": "demo",
    "init": "init",
    "token": "token",
    "join": "join",
    "run": "run",
    "sync": "sync",
    "status": "status",
    "verify": "verify",
    "repair": "repair",
    "backup": "backup",
    "restore": "restore",
    "prune": "prune",
    "handover": "handover",
    "replace": "replace",
    "adopt": "adopt",
    "reassign": "reassign",
    "sql": "sql",
    "units": "units",
    "import": "import_csv",
    "generate": "generate",
    "propose": "propose",
    "conflicts": "conflicts",
    "identity": "identity",
    "figures": "figures",
    "config": "config",
}

AT_ONCE = ("run", "status")  # a daemon comes again by itself; a screen, and monitoring, are told what is so now
# What reads, and writes the database alone: begun again where the server goes before anything was written or shown.
ANEW = frozenset(VERBS) - {*AT_ONCE, "demo", "init", "token", "join", "sync", "restore", "sql"}

WORDS = Both(
    "Đồng bộ sổ dân số từ xã lên huyện, tỉnh, kiểm chứng được là khớp.",
    "Carries the population register from communes to district and province, proven equal.",
)


class Program(Group):
    """The verbs, each in `syncd/cli/<file>.py` under the name `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        file = VERBS.get(cmd_name)
        if file is None:
            return None
        found: click.Command = importlib.import_module(f"syncd.cli.{file}").command
        return found


def program() -> Program:
    """The root of all verbs."""
    return Program(
        name="syncd", words=WORDS, examples=("syncd demo", "syncd status --dir /var/lib/syncd"), params=[_version()]
    )


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code, also where nobody can be told the result."""
    is_told = _given_streams()
    is_check = list(arguments[:1]) == ["status"] and "--check" in arguments
    code = 0
    try:
        code = _ran(arguments, is_check)
        sys.stdout.flush()
    except OSError as error:  # our output cannot be written: all else is an error of ours
        is_told = False
        code = untold(error, code)
    finally:
        command.forget()
    return UNTOLD if is_check and not is_told else code


def untold(error: OSError, code: int = 0) -> int:
    """The exit code where the result could not be written, which is told on stderr."""
    _silence(sys.stdout)  # Python would complain at exit
    if isinstance(error, BrokenPipeError):  # whoever read it has gone (`syncd sql … | head`): nothing failed
        return code
    _given_streams()
    return code or _output_lost(error)


def _given_streams() -> bool:
    """Whether there is a stdout. What was closed is opened as nothing, so that no file of ours gets its number."""
    is_there = sys.stdout is not None
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
    if sys.stdin is None:  # a service's, or closed (`<&-`): nothing is there to be read
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - the same
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # a code page that lacks a letter must not end the program
            reconfigure(errors="replace")
    return is_there


def _ran(arguments: Sequence[str], is_check: bool) -> int:
    """The verb's own code. Raises OSError where its output cannot be written."""
    try:
        _require_text(arguments)
        result = _called(arguments)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        return _failed(say("đã dừng theo yêu cầu", "interrupted"), INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        _complain(error.format_message())  # nothing was asked for: the help itself, in our words
        return error.exit_code
    except click.ClickException as error:
        from syncd.cli.usage import usage_words

        if is_check:  # monitoring reads stdout and a code of its own
            from syncd.cli.status import unknown_line

            return unknown_line(usage_words(error))
        return _failed(usage_words(error), error.exit_code)
    except SyncdError as error:
        from syncd.cli.reasons import told_once

        return _failed(told_once(error), error.exit_code)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return _failed(say("đã dừng theo yêu cầu", "interrupted"), INTERRUPTED)
    except Exception as error:  # a bug: its place, without the words of a library, which may quote a row
        if isinstance(error, OSError) and _is_of_output(error):
            raise
        from syncd.events import told_trace
        from syncd.node.barriers import place_of

        _complain(told_trace(error))
        return _failed(
            say(
                "lỗi không lường trước: {kind} tại {place} — gửi các dòng trên cho nơi bảo trì syncd",
                "an unexpected error: {kind} at {place} — send the lines above to whoever maintains syncd",
                kind=type(error).__name__,
                place=place_of(error.__traceback__),
            ),
            BUG,
        )


def _require_text(arguments: Sequence[str]) -> None:
    """Raises UsageError for an argument that is no UTF-8 (typed in another code page) and names no file: later it would
    be found where a part of the work is done."""
    for at, each in enumerate(arguments, start=1):
        if any("\ud800" <= letter <= "\udfff" for letter in each) and not _is_place(each):
            raise click.UsageError(
                say(
                    "đối số thứ {at} không phải UTF-8 (bàn phím hoặc cửa sổ lệnh dùng bảng mã khác): đặt LANG=C.UTF-8",
                    "argument {at} is not UTF-8 (the keyboard or the terminal has another code page): set LANG=C.UTF-8",
                    at=at,
                )
            )


def _is_place(argument: str) -> bool:
    """Whether an argument, or what follows its option, names a file that is there, or could be made where it says."""
    path = argument.partition("=")[2] if argument.startswith("-") else argument
    return os.path.lexists(path) or os.path.isdir(os.path.dirname(path))


def _called(arguments: Sequence[str]) -> object:
    """A command waits for others and says so; a daemon's threads come again by themselves."""
    try:
        require_own_packages()
    except ConfigError as error:  # told here and now: more of our modules would load the stranger's
        return _failed(str(error), error.exit_code)
    verb = "".join(arguments[:1])
    command = partial(program().main, list(arguments), prog_name="syncd", standalone_mode=False)
    if verb in AT_ONCE:
        return command()
    with patient(tell_waiting) as patience:
        return patience.from_the_beginning(command) if verb in ANEW else command()


def _failed(text: str, exit_code: int) -> int:
    with contextlib.suppress(OSError):  # told by whoever called
        sys.stdout.flush()
    _complain(f"{say('lỗi', 'error')}: {escaped.lines(text)}")
    return exit_code


def _complain(text: str) -> None:
    """On stderr; where that cannot be written either, nobody is left to tell."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def _output_lost(error: OSError) -> int:
    from syncd.cli.reasons import told_once
    from syncd.system import translate_os_error

    ours = translate_os_error(error, say("không ghi được kết quả ra stdout", "the result cannot be written to stdout"))
    return _failed(told_once(ours), ours.exit_code)


def _is_of_output(error: OSError) -> bool:
    """Whether it was stdout that failed: a verb's file writes nothing else by itself, and other files have a name."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    module = "" if place is None else str(place.tb_frame.f_globals.get("__name__"))
    return error.filename is None and module.startswith(("syncd.cli.", "click."))


def _silence(stream: Any) -> None:
    """What still waits to be written goes nowhere: Python would complain at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _version() -> click.Option:
    from syncd.cli.verb import Option

    def show(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value:
            from syncd.cli.versions import print_version

            print_version()
            ctx.exit()

    return Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=show,
        words=Both("In phiên bản.", "Print the version."),
    )
