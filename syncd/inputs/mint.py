"""Row ids minted by a program rather than by the database: UUIDv7 text with the node's tag (ARCHITECTURE.md).

Enters: a count, the tag, a time and a source of randomness. Leaves: distinct ids in ascending order.
Must hold: ascending, so that a bulk load appends to the index instead of filling it at random; distinct within a call.
"""

from __future__ import annotations

from random import Random

from syncd.errors import UsageError
from syncd.inputs.limits import MINT_COUNT_MAX
from syncd.language import say
from syncd.store.base import Tx

RANDOM_BITS = 42
STEP_MAX = 1 << 20  # MINT_COUNT_MAX steps of at most this size, from a start below 2^41, stay below 2^42


def mint(count: int, tag: str, time_ms: int, random: Random) -> list[str]:
    """`count` ids of one millisecond. Their random parts rise by random steps (RFC 9562 §6.2, method 2).

    Raises UsageError above MINT_COUNT_MAX.
    """
    if not 0 <= count <= MINT_COUNT_MAX:
        raise UsageError(
            say("xin {count} mã một lúc", "{count} ids asked for at once", count=count),
            say("xin tối đa {most} mã mỗi lần", "ask for at most {most} per call", most=MINT_COUNT_MAX),
        )
    head = f"{time_ms >> 16 & 0xFFFFFFFF:08x}-{time_ms & 0xFFFF:04x}-7"
    value = random.getrandbits(RANDOM_BITS - 1)
    ids = []
    for step in memoryview(random.randbytes(4 * count)).cast("I"):
        value += 1 + step % STEP_MAX
        # 12 bits after the version, 2 beside the variant, 12 and 16: the node's tag ends the id.
        ids.append(f"{head}{value >> 30:03x}-{0x8000 | value >> 16 & 0x3FFF:04x}-{value & 0xFFFF:04x}{tag}")
    return ids


def tag_of_node(tx: Tx) -> str:
    """The tag every row id of this node carries."""
    return str(tx.value("SELECT value FROM syncd_meta WHERE key = 'tag'"))
