"""Once a day: every own stream compared with its log, one after the other, for so long and no longer.

Enters: an open node, a time budget. Leaves: what was changed past the triggers is journaled, with a case; where the
time was not enough, the stream to go on with the next day.
Must hold: nothing is written where nothing differs and the time was enough; neither clerks nor whoever seals wait
while it is read; a stream whose log cannot be read keeps no other from being compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from syncd import limits
from syncd.log import Stream
from syncd.recovery import found
from syncd.recovery.contents import own_streams
from syncd.setup import set_facts

if TYPE_CHECKING:
    from syncd.pipeline import Node

GO_ON = "compare_from"  # in `syncd_meta`: where a day's time was not enough


def compare(node: Node, now: Callable[[], float] = time.monotonic) -> int:
    """Compare what a day allows; returns how many streams were looked at."""
    ends_at = now() + limits.COMPARE_DAILY_S
    with node.store.read() as tx:
        begin_at = tx.value("SELECT value FROM syncd_meta WHERE key = ?", (GO_ON,)) or ""
        streams = sorted(own_streams(tx), key=_key)
    in_turn = [at for at in streams if _key(at) >= begin_at] + [at for at in streams if _key(at) < begin_at]
    done, is_journaled = 0, False
    for at in in_turn:
        if done and now() >= ends_at:
            break
        work = partial(found.journal_one, node, at)
        found_any = node.barriers.run("compare with the log", work, False, about=_key(at), unit_id=at.unit_id)
        is_journaled = found_any or is_journaled
        done += 1
    if is_journaled:
        node.write()  # nothing else tells the writer
    go_on = _key(in_turn[done]) if done < len(in_turn) else ""
    if go_on != begin_at:
        with node.store.apply("compared") as tx:
            set_facts(tx, [(GO_ON, go_on)])
    return done


def _key(at: Stream) -> str:
    """The order in which streams are compared; one that nothing was ever written to goes by its unit."""
    return at.stream_id or at.unit_id or ""
