"""Reasons that another process wrote, as an operator reads them: what the database stores, what the parent sent.

Enters: texts in English, `what happened — what to do`, written by any node in any language's process. Leaves: the same
text in the operator's language where it is known here, else as it came. Must hold: nothing is lost that the text said.
"""

from __future__ import annotations

import re
from functools import lru_cache

from syncd.cli import reason_messages, reason_remedies
from syncd.cli.reason_messages import FACTS
from syncd.errors import JoinRefused, ParentUnreachable, SyncdError, TokenError, TooLarge, TrustError, Unsupported
from syncd.language import Both, Said, language, say
from syncd.store import os_causes, postgres_causes, postgres_unreached, sqlite_causes
from syncd.text.command import plain

CAUSES = (*sqlite_causes.CAUSES, *postgres_causes.CAUSES, *postgres_unreached.CAUSES, *os_causes.CAUSES)
MESSAGES = (*reason_messages.MESSAGES, *(each.what for each in CAUSES))
REMEDIES = (
    *reason_remedies.REMEDIES,
    *(each.remedy for each in CAUSES if each.remedy.en != "{remedy}"),  # else one of these
    *sqlite_causes.REMEDIES,
)
# What a daemon does, and a single command does not.
PROMISES = (
    re.compile(r"(syncd |sẽ )?tự (thử|kết nối) lại( khi chúng đã vào nhật ký)?"),
    re.compile(r"(syncd |sẽ )?tự đi tiếp|việc đồng bộ tự tiếp tục"),
    re.compile(r"(syncd )?(re)?tr(ies|ied) (again )?by itself( once they are)?|syncd reconnects by itself"),
    re.compile(r"(syncd|the stream) goes on by itself"),
)
# The address a parent's answer came from, before what it said.
PLACE = re.compile(r"(https://\S+) \(node ([0-9a-f-]{36})\)")
# Whoever is named by a node's whole id: a screen says its short one. Streams and rows keep theirs.
NODES = frozenset({"node", "holder", "peer", "keeper", "parent", "bearer"})
NODE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def told(error: SyncdError) -> str:
    """An error of this process, or one that came from another node, for the operator here."""
    if isinstance(error.message, Said):
        return str(error)
    if isinstance(error.hint, Said):  # what another program said, and what to do in words of this process
        return f"{told_text(str(error.message))} — {error.hint}"
    found, is_known = _told(error.english)
    return found if is_known or language() == "en" else f"{_kind(error)}{found}"


def told_once(error: SyncdError) -> str:
    """The same where the process ends with it: nothing is tried again by itself, whoever asked calls again."""
    text = told(error)
    for promise in PROMISES:
        text = promise.sub(say("hãy chạy lại lệnh này", "run this command again"), text)
    return text


def told_text(text: str) -> str:
    """A stored reason for the operator here; the commands in it are those of this node."""
    return _told(text)[0]


def _told(text: str) -> tuple[str, bool]:
    """The same, and whether any of its words is known here."""
    what, dash, remedy = text.partition(" — ")
    place, said = _parts(what)
    message, to_do = _translated(said, MESSAGES), _translated(remedy, REMEDIES)
    return f"{place}{message}{dash}{to_do}", (message, to_do) != (said, remedy)


def _parts(text: str) -> tuple[str, str]:
    found = PLACE.match(text)
    if found is None or text[found.end() : found.end() + 2] != ": ":
        return "", text
    return f"{_place(found)}: ", text[found.end() + 2 :]


def _place(found: re.Match[str]) -> str:
    return say("{url} (máy {tag})", "{url} (node {tag})", url=found[1], tag=found[2][28:])


def _translated(text: str, known: tuple[Both, ...]) -> str:
    for pattern, words in _patterns(known):
        found = pattern.fullmatch(text)
        if found:
            return say(words.vi, words.en, **{name: _fact(name, fact) for name, fact in found.groupdict().items()})
    return text


def _fact(name: str, text: str) -> str:
    """A fact that is itself said in words, or names a node."""
    if found := PLACE.fullmatch(text):
        return _place(found)
    if name in NODES and NODE_ID.fullmatch(text):
        return text[28:]
    return _translated(text, FACTS) if text.startswith(("envelope ", "table ", "column ", "the rule ")) else text


@lru_cache(maxsize=3)
def _patterns(known: tuple[Both, ...]) -> list[tuple[re.Pattern[str], Both]]:
    """The English of each text as a pattern whose groups are its facts."""
    return [
        (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(plain(words.en))), re.DOTALL), words)
        for words in known
    ]


def _kind(error: SyncdError) -> str:
    """Where the text itself is not known here: at least what sort of trouble it is."""
    for kind, words in KINDS:
        if isinstance(error, kind):
            return f"{words.here}: "
    return ""


KINDS: tuple[tuple[type[SyncdError], Both], ...] = (
    (TokenError, Both("cấp trên từ chối mã gia nhập", "the parent refuses the token")),
    (JoinRefused, Both("cấp trên từ chối gia nhập", "the parent refuses the join")),
    (TrustError, Both("cấp trên không chấp nhận máy này", "the parent refuses this node")),
    (Unsupported, Both("hai máy khác phiên bản", "the two nodes differ in version")),
    (TooLarge, Both("gói dữ liệu quá lớn", "too large")),
    (ParentUnreachable, Both("cấp trên chưa làm được", "the parent could not do it")),
)
