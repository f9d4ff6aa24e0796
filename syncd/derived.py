"""Row ids made from other ids: making one twice, wherever, gives the same but for the tag of the node that makes it.

Enters: what it is made of, a tag. Leaves: ids in the layout of UUIDv7.
Must hold: two nodes never make one id; what two nodes made of one thing is known as such (`twins`).
"""

from __future__ import annotations

import uuid
from hashlib import sha256

STEM_CHARS = 28  # of an id as text; the minting node's tag follows
LATE = "written by node "  # how the reason of a proposal begins that was made of late writes


def derived_id(of: str, row_id: str, tag: str) -> str:
    """The id that a node makes of a row of something else."""
    digest = bytearray(sha256(f"syncd derived {of} {row_id}".encode()).digest()[:12])
    digest[6] = 0x70 | digest[6] & 0x0F
    digest[8] = 0x80 | digest[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(digest) + bytes.fromhex(tag)))


def stem(row_id: str) -> str:
    """What ids have in common that several nodes made of one thing."""
    return row_id[:STEM_CHARS]
