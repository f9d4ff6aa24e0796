"""Commands as they are printed: complete for the node at hand, so that they run as they stand.

Enters: which directory the command line named, and how. Leaves: a command with its --dir, quoted for the shell here.
Must hold: what is stored, sent or printed as JSON names no directory: whoever reads it stands elsewhere; only our own
words are completed, never a fact within them. In a text such a command stands in double brackets:
`say("xem: [[syncd status]]", "see: [[syncd status]]")`; one for another machine stands there plain.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

OPENS = "[["
_MARKED = re.compile(r"\[\[(.+?)\]\]", re.DOTALL)
# One within a text that is shown: to its end in quotes of a sentence, or to the word before a mark.
COMMAND = re.compile(
    r"(?<=`)syncd [a-z][^`]*(?=`)|\bsyncd [a-z]+(?: (?:\"[^\"]*\"|'[^']*'|[^\s;,).—|`]+(?:\.[^\s;,)]+)*))*"
)
_ALWAYS = ("syncd restore ",)  # looks for no node by itself
# What neither cmd nor PowerShell reads as anything but itself.
_PLAIN_ON_WINDOWS = re.compile(r"[\w.:\\/-]+")


class _AtHand:
    """Where this process works. `is_named`: a command without --dir would speak of another place, or might."""

    directory: Path = Path(".")
    is_named: bool = False


def name_node(directory: Path, is_named: bool) -> None:
    """From here on commands are worded for the node in `directory`."""
    _AtHand.directory, _AtHand.is_named = directory, is_named


def forget() -> None:
    """The command line that named a node has ended."""
    name_node(Path("."), is_named=False)


def at_hand(command: str) -> str:
    """`command` for the node that this process speaks of."""
    return at(_AtHand.directory, command) if _AtHand.is_named or command.startswith(_ALWAYS) else command


def at(directory: Path, command: str) -> str:
    """`command` for the node in `directory`."""
    return f"{command} --dir {quoted(str(directory))}"


def quoted(word: str, system: str = os.name) -> str:
    """One word of a command line, for the shell of this system."""
    if system != "nt":
        return shlex.quote(word)
    if _PLAIN_ON_WINDOWS.fullmatch(word):
        return word
    ends = len(word) - len(word.rstrip("\\"))  # a backslash before the closing quote would take it along
    return f'"{word}{ends * chr(92)}"'


def completed(template: str, *, has_facts: bool) -> str:
    """A text of ours with its commands for the node at hand. `has_facts`: it is formatted afterwards."""
    if OPENS not in template:
        return template
    return _MARKED.sub(lambda found: _worded(found[1], has_facts), template)


def _worded(command: str, has_facts: bool) -> str:
    whole = at_hand(command)
    added = whole[len(command) :]
    return command + (added.replace("{", "{{").replace("}", "}}") if has_facts else added)


def plain(template: str) -> str:
    """The same as it is stored: for no node in particular."""
    return _MARKED.sub(r"\1", template) if OPENS in template else template
