"""The operators' language: every text stands in the code in both languages, Vietnamese first.

Enters: the environment (SYNCD_LANGUAGE), the configuration, the locale: the first that says.
Leaves: the text of that language, facts filled in. Must hold: no text has one language only, and both name the same
facts (`tests/unit/test_language.py` reads the source).
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

LANGUAGES = ("vi", "en")


class Both(NamedTuple):
    """A text in both languages, for tables of words; `.here` is the one to show."""

    vi: str
    en: str

    @property
    def here(self) -> str:
        return self[LANGUAGES.index(language())]


def say(vi: str, en: str, /, **facts: Any) -> str:
    """The text of the operator's language with `{facts}` filled in."""
    text = Both(vi, en).here
    return text.format(**facts) if facts else text


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
    return text.replace(",", ".") if language() == "vi" else text


def decimal(value: float, places: int = 1) -> str:
    """A number with a decimal comma or point."""
    text = f"{value:,.{places}f}"
    return text.translate(str.maketrans(",.", ".,")) if language() == "vi" else text
