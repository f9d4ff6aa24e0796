"""The program `syncd`: finds the verb's file, runs it, turns errors into one line and an exit code.

Enters: arguments. Leaves: an exit code. Must hold: a verb's file is imported only when that verb, or the list of all,
is asked for; errors of the program's own tree are shown as "what happened — what to do", never as a traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from syncd.cli.alone import require_own_packages
from syncd.cli.progress import tell_waiting
from syncd.cli.verb import Group
from syncd.errors import ConfigError, SyncdError
from syncd.language import Both, say
from syncd.store.patience import patient
from syncd.text import escaped

INTERRUPTED = 130  # as a shell reports SIGINT
BUG = 70  # EX_SOFTWARE of sysexits.h

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
        command: click.Command = importlib.import_module(f"syncd.cli.{file}").command
        return command


def program() -> Program:
    """The root of all verbs."""
    return Program(
        name="syncd", words=WORDS, examples=("syncd demo", "syncd status --dir /var/lib/syncd"), params=[_version()]
    )


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # a code page that lacks a letter must not end the program
            reconfigure(errors="replace")
    try:
        result = _called(arguments)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        return _failed(say("đã dừng theo yêu cầu", "interrupted"), INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)  # nothing was asked for: the help itself, in our words
        return error.exit_code
    except click.ClickException as error:
        from syncd.cli.usage import usage_words

        if arguments[:1] == ["status"] and "--check" in arguments:  # monitoring reads stdout and a code of its own
            from syncd.cli.status import unknown_line

            return unknown_line(usage_words(error))
        return _failed(usage_words(error), error.exit_code)
    except SyncdError as error:
        from syncd.cli.reasons import told_once

        return _failed(told_once(error), error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (`syncd sql … | head`): nothing failed. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _failed(say("đã dừng theo yêu cầu", "interrupted"), INTERRUPTED)
    except Exception as error:  # a bug: its place, without the words of a library, which may quote a row
        from syncd.events import told_trace
        from syncd.node.barriers import place_of

        print(told_trace(error), file=sys.stderr)
        return _failed(
            say(
                "lỗi không lường trước: {kind} tại {place} — gửi các dòng trên cho nơi bảo trì syncd",
                "an unexpected error: {kind} at {place} — send the lines above to whoever maintains syncd",
                kind=type(error).__name__,
                place=place_of(error.__traceback__),
            ),
            BUG,
        )


def _called(arguments: Sequence[str]) -> object:
    """A command waits for others and says so; a daemon's threads come again by themselves."""
    try:
        require_own_packages()
    except ConfigError as error:  # told here and now: more of our modules would load the stranger's
        return _failed(str(error), error.exit_code)
    if tuple(arguments[:1]) == ("run",):
        return program().main(list(arguments), prog_name="syncd", standalone_mode=False)
    with patient(tell_waiting):
        return program().main(list(arguments), prog_name="syncd", standalone_mode=False)


def _failed(text: str, exit_code: int) -> int:
    sys.stdout.flush()
    print(f"{say('lỗi', 'error')}: {escaped.lines(text)}", file=sys.stderr)
    return exit_code


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
