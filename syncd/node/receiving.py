"""A neighbour's envelopes into the log: all of them in one transaction, or, where one of them fails, stream by stream.

Enters: envelopes of one push or answer. Leaves: what was taken, and per stream why it was not.
Must hold: an envelope that makes any code of ours fail is refused with its stream; the other streams of the batch are
taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncd.envelope import parse_envelope
from syncd.errors import EnvelopeError
from syncd.node.barriers import PASSING, reason_of, tell
from syncd.receive import REFUSED, Received

Receive = Callable[[Sequence[bytes]], Received]


def receive_apart(at_once: Receive, peer: str, envelopes: Sequence[bytes]) -> Received:
    """What `at_once` makes of all envelopes, or else of each stream's. Raises EnvelopeError for bytes that are none."""
    try:
        return at_once(envelopes)
    except (EnvelopeError, *PASSING):
        raise
    except Exception as error:  # whatever an envelope made of our code; nothing of the batch was taken
        tell(error, duty="receive", about=peer)
    result = Received()
    for stream_id, (seq, some) in _by_stream(envelopes).items():
        try:
            part = at_once(some)
        except (EnvelopeError, *PASSING):
            raise
        except Exception as error:
            tell(error, duty="receive", about=stream_id)
            result.refused[stream_id] = (REFUSED, seq, reason_of(error))
            continue
        result.streams |= part.streams
        result.refused |= part.refused
        result.taken += part.taken
    return result


def _by_stream(envelopes: Sequence[bytes]) -> dict[str, tuple[int, list[bytes]]]:
    """Stream → the position of its first envelope, all of them, in their order."""
    found: dict[str, tuple[int, list[bytes]]] = {}
    for data in envelopes:
        header = parse_envelope(data).header
        found.setdefault(header.stream_id, (header.seq, []))[1].append(data)
    return found
