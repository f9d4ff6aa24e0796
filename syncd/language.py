"""The operators' language: every text stands in the code in both languages, Vietnamese first.

Enters: the environment (SYNCD_LANGUAGE), the configuration, the locale: the first that says.
Leaves: the text of that language, facts filled in; it remembers its English, which is what is stored, sent or printed
as JSON. Must hold: no text has one language only, and both name the same facts (`tests/unit/test_language.py` reads the
source); what another process reads does not depend on the language of the one that wrote it.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple, Self

from syncd.text import command

LANGUAGES = ("vi", "en")


class Said(str):
    """A text in the operator's language. `english`: the same for files, the wire and JSON."""

    __slots__ = ("english",)
    english: str

    def __new__(cls, text: str, english: str) -> Self:
        made = super().__new__(cls, text)
        made.english = english
        return made


class Both(NamedTuple):
    """A text in both languages, for tables of words; `.here` is the one to show."""

    vi: str
    en: str

    @property
    def here(self) -> str:
        return Said(command.completed(self[LANGUAGES.index(language())], has_facts=False), command.plain(self.en))


def say(vi: str, en: str, /, **facts: Any) -> str:
    """The text of the operator's language with `{facts}` filled in, commands in `[[…]]` completed for the node here."""
    if not facts:
        return Both(vi, en).here
    english = command.plain(en).format(**{name: english_of(fact) for name, fact in facts.items()})
    return Said(command.completed(vi if language() == "vi" else en, has_facts=True).format(**facts), english)


def english_of(value: Any) -> Any:
    """What is stored, sent or printed as JSON of a text that was said; anything else as it is."""
    return value.english if isinstance(value, Said) else value


def prefer(configured: str) -> None:
    """What the node's configuration says (`auto` says nothing); the environment stands above it."""
    _preferred[:] = [configured] if configured in LANGUAGES else []


_preferred: list[str] = []


def language() -> str:
    """`vi` or `en`. Read at every call: it is cheap, and a process that changes its environment is obeyed."""
    chosen = os.environ.get("SYNCD_LANGUAGE", "").strip().lower()[:2]
    if chosen in LANGUAGES:
        return chosen
    if _preferred:
        return _preferred[0]
    from syncd.system import locale_language

    return locale_language()


def number(value: int) -> str:
    """Thousands apart, as each language writes them: 12.345 or 12,345."""
    text = f"{value:,}"
    return Said(text.replace(",", ".") if language() == "vi" else text, text)


def decimal(value: float, places: int = 1) -> str:
    """A number with a decimal comma or point."""
    text = f"{value:,.{places}f}"
    return Said(text.translate(str.maketrans(",.", ".,")) if language() == "vi" else text, text)
