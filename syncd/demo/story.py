"""What the demo prints: numbered steps, a sentence or two, a small table of the tiers after each.

Enters: the tree, facts. Leaves: text on stdout. Must hold: plain when stdout is no terminal; nothing here changes a
node.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from syncd.cli.output import BOLD, CYAN, DIM, GREEN, RED, YELLOW, colours_wanted, emit, pad, paint, table, width
from syncd.demo.tree import COMMUNE, DISTRICT, PROVINCE, DemoNode, DemoTree
from syncd.language import Both, number, say
from syncd.status import OwnChanges, status

STEPS = 8
RULE_CELLS = 86
TIERS = {
    PROVINCE: Both("tỉnh", "province"),
    DISTRICT: Both("huyện", "district"),
    COMMUNE: Both("xã", "commune"),
}
COUNTED = ("household", "person", "birth", "death", "migration", "person_check")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Rows of one node, and where its own changes are."""

    rows: dict[str, int]
    own: OwnChanges


class Story:
    """Prints; knows which step it is."""

    def __init__(self) -> None:
        self._step = 0

    def step(self, title: str) -> None:
        self._step += 1
        head = f"── {self._step}/{STEPS}  {title} "
        emit("\n" + paint(head + "─" * max(0, RULE_CELLS - width(head)), BOLD, CYAN))
        sys.stdout.flush()

    def tell(self, text: str) -> None:
        emit(text)
        sys.stdout.flush()

    def good(self, text: str) -> None:
        self.tell(f"{paint('✓', GREEN, BOLD)} {text}")

    def bad(self, text: str) -> None:
        self.tell(f"{paint('✗', RED, BOLD)} {text}")

    def code(self, lines: Sequence[str]) -> None:
        """SQL as a clerk typed it."""
        for line in lines:
            self.tell(paint(f"    {line}", DIM))

    def live(self, text: str) -> None:
        """A line that the next one overwrites; nothing where there is no terminal."""
        if colours_wanted():
            sys.stdout.write(f"\r\x1b[K  {text}")
            sys.stdout.flush()

    def live_end(self) -> None:
        if colours_wanted():
            sys.stdout.write("\r\x1b[K")

    def tiers(self, tree: DemoTree) -> None:
        """One line per tier: rows, and how far that tier's own changes have come."""
        headers = [
            "",
            say("máy", "nodes"),
            *(_title(name) for name in COUNTED),
            say("chờ gửi", "waiting"),
            say("ở cấp trên", "at parent"),
        ]
        lines = []
        for tier in (PROVINCE, DISTRICT, COMMUNE):
            counts = [counts_of(node) for node in tree.tier(tier)]
            totals = [number(sum(each.rows[name] for each in counts)) for name in COUNTED]
            waiting = [
                _loud(sum(each.own.waiting for each in counts)),
                _loud(sum(each.own.at_parent for each in counts)),
            ]
            lines.append([TIERS[tier].here, str(len(counts)), *totals, *waiting])
        self.tell(table(headers, lines, range(1, len(headers)), indent="  "))

    def nodes(self, nodes: Sequence[DemoNode]) -> None:
        """One line per node: where its own changes are."""
        headers = [
            "",
            say("nhân khẩu", "persons"),
            say("chờ gửi", "waiting"),
            say("ở cấp trên", "at parent"),
            say("đã tới tỉnh", "at the province"),
        ]
        lines = []
        for node in nodes:
            counts = counts_of(node)
            own = counts.own
            lines.append(
                [
                    node_words(node),
                    number(counts.rows["person"]),
                    _loud(own.waiting),
                    _loud(own.at_parent),
                    number(own.at_custodian or 0),
                ]
            )
        self.tell(table(headers, lines, (1, 2, 3, 4), indent="  "))


def node_words(node: DemoNode) -> str:
    """Tier, code and name, so that tiers line up."""
    cells = max(width(word.here) for word in TIERS.values())
    return f"{pad(TIERS[node.tier].here, cells)}  {node.code} {node.name}"


def counts_of(node: DemoNode) -> Counts:
    """Counted in one snapshot."""
    with node.store.read() as tx:
        rows = {name: int(tx.value(f"SELECT count(*) FROM {name}")) for name in COUNTED}
        return Counts(rows=rows, own=status(tx).own)


def _title(name: str) -> str:
    words = {
        "household": Both("hộ", "households"),
        "person": Both("nhân khẩu", "persons"),
        "birth": Both("sinh", "births"),
        "death": Both("chết", "deaths"),
        "migration": Both("di cư", "moves"),
        "person_check": Both("xác minh", "checks"),
    }
    return words[name].here


def _loud(count: int) -> str:
    return paint(number(count), YELLOW, BOLD) if count else "0"
