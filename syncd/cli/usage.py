"""A command line that makes no sense, told in the operator's language.

Enters: an error of click. Leaves: one line of what is wrong and where help is. Must hold: a sentence of click's that is
not known here is shown as it is, never left out.
"""

from __future__ import annotations

import re

import click

from syncd.language import Both, Said, language, say

# What click says of a value, as (its pattern, our words).
_SENTENCES = (
    (r"Got unexpected extra arguments? \((?P<names>.*)\)", Both("thừa tham số: {names}", "extra arguments: {names}")),
    (r"Option '(?P<name>.*)' requires an argument\.?", Both("{name} cần một giá trị", "{name} takes a value")),
    (r"Option '(?P<name>.*)' does not take a value\.?", Both("{name} không nhận giá trị", "{name} takes no value")),
    (r"'(?P<text>.*)' is not a valid integer\.?", Both("{text!r} không phải số nguyên", "{text!r} is no integer")),
    (r"'(?P<text>.*)' is not a valid float\.?", Both("{text!r} không phải là số", "{text!r} is no number")),
    (
        r"(?P<text>.*) is not in the range x>=(?P<least>.*?)\.?",
        Both("{text} không hợp lệ, phải từ {least} trở lên", "{text}: at least {least}"),
    ),
    (
        r"(?P<text>.*) is not in the range x<=(?P<most>.*?)\.?",
        Both("{text} không hợp lệ, nhiều nhất là {most}", "{text}: at most {most}"),
    ),
    (
        r"(?P<text>.*) is not in the range (?P<least>.*)<=x<=(?P<most>.*?)\.?",
        Both("{text} không hợp lệ, phải từ {least} đến {most}", "{text}: from {least} to {most}"),
    ),
    (
        r"(?P<text>'.*?') is not one of (?P<choices>.*?)\.?",
        Both("{text} không dùng được; chọn một trong {choices}", "{text}: choose one of {choices}"),
    ),
    (
        r"(?P<text>'.*?') is not (?P<choice>'[^']*')\.?",
        Both("{text} không dùng được; chỉ có {choice}", "{text}: only {choice}"),
    ),
    (r"'(?P<text>.*)' is not a valid UUID\.?", Both("{text!r} không phải UUID", "{text!r} is no UUID")),
    (
        r"'(?P<text>.*)' is not a valid boolean\..*",
        Both("{text!r} không phải true hoặc false", "{text!r} is neither true nor false"),
    ),
    (r"\w+ '(?P<path>.*)' is not writable\.?", Both("không ghi được {path}", "{path} is not writable")),
    (
        r"Takes (?P<n>\d+) values but (?P<given>\d+) (?:was|were) given\.?",
        Both("cần {n} giá trị, đã nêu {given}", "{n} values are needed, {given} given"),
    ),
    (r"\w+ '(?P<path>.*)' does not exist\.?", Both("không có {path}", "{path} does not exist")),
    (r"\w+ '(?P<path>.*)' is a directory\.?", Both("{path} là thư mục", "{path} is a directory")),
    (r"\w+ '(?P<path>.*)' is a file\.?", Both("{path} là tệp, không phải thư mục", "{path} is a file")),
    (r"\w+ '(?P<path>.*)' is not readable\.?", Both("không đọc được {path}", "{path} is not readable")),
    (r"Missing command\.?", Both("thiếu tên lệnh", "the command is missing")),
)


def usage_words(error: click.ClickException) -> str:
    """What is wrong with the command line, and the command whose help says how it is meant."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "syncd"
    return f"{_what(error)} — {say('xem', 'see')}: {path} --help"


def _what(error: click.ClickException) -> str:
    if language() == "en" or isinstance(error.message, Said):
        return error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption):
        return _meant(f"không có tùy chọn {error.option_name}", error)
    if isinstance(error, click.MissingParameter):
        return f"thiếu {_of(error)}"
    if isinstance(error, click.BadParameter):
        return f"{_of(error)}: {_sentence(error.message)}"
    if hasattr(error, "command_name"):  # click's NoSuchCommand, since 8.4
        return _meant(f"không có lệnh {error.command_name}", error)
    return _sentence(error.message)


def _of(error: click.BadParameter) -> str:
    hint = error.param_hint or (error.param.get_error_hint(error.ctx) if error.param and error.ctx else "")
    return (hint if isinstance(hint, str) else " / ".join(hint)).replace("'", "")


def _meant(text: str, error: click.ClickException) -> str:
    near = getattr(error, "possibilities", None)
    return f"{text}; có phải {' hoặc '.join(sorted(near))}?" if near else text


def _sentence(text: str) -> str:
    for pattern, words in _SENTENCES:
        found = re.fullmatch(pattern, text)
        if found:
            return words.here.format(**found.groupdict())
    return text
