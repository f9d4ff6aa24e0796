"""Three tiers of processes over bad lines: 5 % of messages lost, 5 % twice, 200 ± 200 ms delay, 30 random kills.

The lines are TCP proxies (a container's kernel often has no netem). They see TLS and not requests, so a message is what
one read brings: a lost one breaks the connection before it arrives, so that the caller asks again; one that arrives
twice is delivered while its answer is dropped with the connection, so that the caller, who cannot know, sends it again.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from syncd import enrolment
from syncd.admission import TokenKind
from tests.acceptance.processes import Station, Tree
from tests.acceptance.test_kill import SEED_VARIABLE, check, replayable, revive, victim_kind
from tests.acceptance.writers import Writer
from tests.faultproxy import CHUNK_BYTES, FaultProxy
from tests.waiting import until

pytestmark = [pytest.mark.long]
LOST, TWICE = 0.05, 0.05
DELAY_S = 0.2
KILLS = 30
PAUSE_S = (0.2, 2.0)
REST_S = 300.0
UNITS = {"425": ["42501", "42502"]}


class BadLine(FaultProxy):
    """A proxy that delays, loses and repeats while `is_bad`. `counts`: what it did."""

    def __init__(self, target: tuple[str, int], chance: random.Random) -> None:
        self.is_bad = False
        self.counts: Counter[str] = Counter()
        self._chance = chance
        super().__init__(target)

    def _carry(self, source: socket.socket, sink: socket.socket, attribute: str) -> None:
        is_answer = attribute == "cut_after_down"
        pause = threading.Event()
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if self.is_bad:
                    pause.wait(self._chance.uniform(0.0, 2 * DELAY_S))
                    if self._chance.random() < (TWICE if is_answer else LOST):
                        self.counts["twice" if is_answer else "lost"] += 1
                        break
                self.counts["messages"] += 1
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
            with self._guard:
                self._open.discard(each)


def test_bad_lines_and_thirty_kills_leave_equal_content(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get(SEED_VARIABLE, int.from_bytes(os.urandom(4), "big")))
    chance = random.Random(seed)
    with replayable(seed), contextlib.closing(Tree(tmp_path)) as tree, contextlib.ExitStack() as lines:
        province = tree.root("sqlite", UNITS)
        made = [_line(lines, province, chance)]
        district = _join(tree, province, "425", made[0], hub=True)
        made.append(_line(lines, district, chance))
        communes = [_join(tree, district, code, made[1]) for code in UNITS["425"]]
        for commune in communes:
            tree.keeps(commune)
        writers = [Writer(commune.directory, chance.randrange(2**32)) for commune in communes]
        for line in made:
            line.is_bad = True
        for writer in writers:
            writer.start()
        deaths = _kill(tree, chance)
        for writer in writers:
            writer.finish()
        for station in tree.stations:
            revive(station)
        tree.rest(REST_S)  # over lines that are bad still
        check(tree, communes, writers)
        told = sum((line.counts for line in made), deaths)
        print(f"seed {seed}, over proxies: {dict(told)}")
        record_property("line", dict(told))
        assert told["lost"], "nothing was lost: this proves nothing"
        assert told["twice"], "nothing came twice: this proves nothing"


def _line(lines: contextlib.ExitStack, to: Station, chance: random.Random) -> BadLine:
    address = urlsplit(to.address)
    return lines.enter_context(contextlib.closing(BadLine((str(address.hostname), int(address.port or 0)), chance)))


def _join(tree: Tree, parent: Station, code: str, line: BadLine, *, hub: bool = False) -> Station:
    """A station that reaches its parent over the line alone, running."""
    until(lambda: parent.one(f"SELECT 1 FROM unit WHERE code = '{code}'"), f"unit {code} is known at {parent.code}")
    directory, settings = tree.folder / code, tree._settings(hub=hub, database="sqlite")
    token = parent.token(code, TokenKind.HUB if hub else TokenKind.LEAF, line.url)
    tree.forget(parent)
    station = tree._add(directory, code, enrolment.join(directory, token, settings), settings)
    station.start()
    return station


def _kill(tree: Tree, chance: random.Random) -> Counter[str]:
    counts: Counter[str] = Counter()
    pause = threading.Event()
    for _ in range(KILLS):
        pause.wait(chance.uniform(*PAUSE_S))
        victim = chance.choice(tree.stations)
        victim.kill()
        counts[f"{victim_kind(victim, tree)} killed"] += 1
        victim.spawn({})
        if chance.random() < 0.8:
            revive(victim)
    return counts
