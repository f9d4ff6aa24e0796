"""Whether everybody is in the index, when they were last looked at, who waits: facts that screens and figures show.

Enters: a transaction. Leaves: an answer, an instant, a count. Must hold: importing this costs nothing: a screen
needs no matching.
"""

from __future__ import annotations

from syncd.store.base import Tx

INDEXED, LOOKED_AT, LAID = "identity_indexed", "identity_looked_at", "identity_laid"


def has_begun(tx: Tx) -> bool:
    """Whether anybody has begun an index here: from then on whoever changes is noted."""
    return tx.value("SELECT value FROM syncd_meta WHERE key = ?", (LAID,)) is not None


def is_indexed(tx: Tx) -> bool:
    """Whether an index of everybody was finished here."""
    return tx.value("SELECT value FROM syncd_meta WHERE key = ?", (INDEXED,)) is not None


def looked_at(tx: Tx) -> str | None:
    """When the last look at everybody ended; since then whoever changes is matched. None: there was none yet."""
    found = tx.value("SELECT value FROM syncd_meta WHERE key = ?", (LOOKED_AT,))
    return None if found is None else str(found)


def is_settled(tx: Tx) -> bool:
    """Whether everybody is in the index and was looked at, and nobody waits."""
    return is_indexed(tx) and looked_at(tx) is not None and tx.one("SELECT 1 FROM syncd_identity_due LIMIT 1") is None


def note_look(tx: Tx, now: str) -> None:
    """Everybody was looked at."""
    tx.run(
        "INSERT INTO syncd_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (LOOKED_AT, now),
    )


def waiting(tx: Tx) -> int:
    """Persons who changed since they were last matched."""
    return int(tx.value("SELECT count(*) FROM syncd_identity_due"))
