"""What every verb shares: help in the operator's language that ends in an example, the options --dir and --json.

Enters: words in both languages. Leaves: click commands. Must hold: texts are chosen when they are shown, not when a
file is imported, so that one process can speak both languages (the tests do).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from syncd.language import Both, say

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Option(click.Option):
    """An option whose help is in both languages."""

    def __init__(self, param_decls: Sequence[str] | None = None, *, words: Both, **settings: Any) -> None:
        super().__init__(param_decls, **settings)
        self.words = words

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        self.help = self.words.here
        return super().get_help_record(ctx)

    def get_help_extra(self, ctx: click.Context) -> Any:
        """What click adds in brackets, in the operator's language."""
        extra = super().get_help_extra(ctx)
        if "required" in extra:
            extra["required"] = say("bắt buộc", "required")
        return extra


class _Worded(click.Command):
    """Help: what it does, how it is called, the options, an example."""

    def __init__(self, *, words: Both, examples: Sequence[str], **settings: Any) -> None:
        super().__init__(**settings)
        self.words = words
        self.examples = tuple(examples)

    def get_short_help_str(self, limit: int = 45) -> str:
        return self.words.here.partition("\n")[0]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for paragraph in self.words.here.split("\n\n"):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(paragraph)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(
            ctx.command_path,
            " ".join(self.collect_usage_pieces(ctx))
            .replace("[OPTIONS]", say("[TÙY CHỌN]", "[OPTIONS]"))
            .replace("COMMAND [ARGS]...", say("LỆNH [THAM SỐ]...", "COMMAND [ARGS]...")),
            say("Cách dùng: ", "Usage: "),
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = [record for param in options if (record := param.get_help_record(ctx)) is not None]
        if records:
            with formatter.section(say("Tùy chọn", "Options")):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(say("Ví dụ", "Examples") if len(self.examples) > 1 else say("Ví dụ", "Example")):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        found = super().get_help_option(ctx)
        if found is not None:
            found.help = say("In hướng dẫn này.", "Show this help.")
        return found


class Verb(_Worded):
    """One command."""


class Group(_Worded, click.Group):
    """Commands under one name."""

    def __init__(self, *, words: Both, examples: Sequence[str], **settings: Any) -> None:
        super().__init__(words=words, examples=examples, no_args_is_help=True, **settings)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section(say("Các lệnh", "Commands")):
            formatter.write_dl([(name, command.get_short_help_str()) for name, command in rows if command is not None])


def verb(words: Both, *examples: str, name: str | None = None) -> Callable[[Callable[..., Any]], Verb]:
    """Make a function a command. The last thing its help shows is an example."""

    def make(function: Callable[..., Any]) -> Verb:
        made = click.command(
            name=name or function.__name__.removeprefix("command").strip("_") or None,
            cls=Verb,
            words=words,
            examples=examples,
        )(function)
        return made

    return make


def option(*declarations: str, vi: str, en: str, **settings: Any) -> Callable[[_Function], _Function]:
    """An option with help in both languages."""
    return click.option(*declarations, cls=Option, words=Both(vi, en), **settings)


def directory_option(function: _Function) -> _Function:
    """--dir: the node's directory; read first, for whatever is said of the rest names commands for that node."""
    return option(
        "--dir",
        "directory",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        default=None,
        is_eager=True,
        callback=_meant,
        vi="Thư mục của máy (mặc định: SYNCD_DIR, thư mục này, hoặc /var/lib/syncd).",
        en="The node's directory (default: SYNCD_DIR, this folder, or /var/lib/syncd).",
    )(function)


def _meant(_context: click.Context, _option: click.Parameter, given: Path | None) -> Path | None:
    from syncd.cli.place import speak_of

    speak_of(given)
    return given


def json_option(function: _Function) -> _Function:
    """--json: one JSON document instead of text."""
    return option(
        "--json",
        "as_json",
        is_flag=True,
        vi="In một tài liệu JSON thay cho chữ.",
        en="Print one JSON document instead of text.",
    )(function)
