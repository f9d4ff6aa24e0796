"""Blocking keys: what two rows of one person still share after a slip or two. Only who shares a key is compared.

Enters: the columns of a person. Leaves: one number per kind of key, 0 where the row does not say enough.
Must hold: no personal value can be read from a key without the database it lies in (a hash; the kind in its upper
bits, so that keys sorted by kind and number append to an index in order); the cost of matching stays near-linear
because a block above `IDENTITY_BLOCK_PERSONS_MAX` is passed over.

Kinds, the surest first: citizen id; insurance number; name, date and sex; name and year; name, day and month (the year
may slip); date, sex and first syllable (the rest of the name may slip); date and last syllable; phone and last
syllable. Names are folded and sorted, so order, tones and case never matter; day and month are sorted, so that an
exchange does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from conflict.identity_names import Name

KINDS: Final = 8
EXACT_KINDS: Final = 2  # the first kinds are numbers: a pair that shares one is always judged
KIND_SHIFT: Final = 59  # a signed 64-bit integer on both databases
HASH_MASK: Final = (1 << KIND_SHIFT) - 1
KEY_BYTES: Final = 8


def keys_of(
    name: Name, sex: int, birth: str, precision: str, citizen_id: str, insurance_no: str, phone: str
) -> tuple[int, ...]:
    """One key per kind; empty texts where the row says nothing."""
    year, month, day = birth[:4], birth[5:7], birth[8:]
    days = f"{min(month, day)}{max(month, day)}" if precision == "d" else ""
    named = name.ordered
    return (
        _key(1, citizen_id),
        _key(2, insurance_no),
        _key(3, named and f"{named}|{birth}{precision}|{sex}"),
        _key(4, named and f"{named}|{year}"),
        _key(5, named and days and f"{named}|{days}"),
        _key(6, named and days and f"{name.family}|{year}{days}|{sex}"),
        _key(7, named and days and f"{name.given}|{year}{days}"),
        _key(8, named and phone and f"{name.given}|{phone}"),
    )


def pack(keys: Iterable[int]) -> bytes:
    """The keys of one person as they are stored beside it."""
    return b"".join(key.to_bytes(KEY_BYTES, "big") for key in keys if key)


def unpack(packed: bytes) -> tuple[int, ...]:
    """What `pack` made."""
    return tuple(int.from_bytes(packed[start : start + KEY_BYTES], "big") for start in range(0, len(packed), KEY_BYTES))


def _key(kind: int, text: str) -> int:
    if not text:
        return 0
    digest = blake2b(text.encode(), digest_size=8).digest()
    return kind << KIND_SHIFT | int.from_bytes(digest, "big") & HASH_MASK
