"""Envelopes one after another in an HTTP body (PROTOCOL.md §5).

Enters: chunks as they arrive. Leaves: whole envelopes' bytes.
Must hold: a frame is refused by its stated length before its bytes are kept; a broken connection loses nothing that
arrived: `unfinished` goes to the partial store and begins the next reader.
"""

from syncd.envelope import SIGNATURE_BYTES
from syncd.errors import Altered, TooLarge
from syncd.limits import ENVELOPE_BYTES_MAX

LENGTH_BYTES = 4
_HINT = "nothing of this frame was taken over; the next exchange begins after the last whole envelope"


def frame(envelope: bytes) -> bytes:
    """One envelope's bytes behind their length."""
    return len(envelope).to_bytes(LENGTH_BYTES, "big") + envelope


class FrameReader:
    """Cuts a body into envelopes, whatever the chunks it comes in. `unfinished` of an earlier reader resumes it."""

    def __init__(self, unfinished: bytes = b"") -> None:
        self._buffer = bytearray(unfinished)

    def feed(self, data: bytes) -> list[bytes]:
        """The envelopes completed by `data`. Raises `TooLarge` or `Altered`; then the reader is of no more use."""
        buffer = self._buffer
        buffer += data
        whole: list[bytes] = []
        start = 0
        while len(buffer) - start >= LENGTH_BYTES:
            begin = start + LENGTH_BYTES
            end = begin + _checked(int.from_bytes(buffer[start:begin], "big"))
            if len(buffer) < end:
                break
            whole.append(bytes(buffer[begin:end]))
            start = end
        del buffer[:start]
        return whole

    @property
    def unfinished(self) -> bytes:
        """What arrived of a frame that is not whole yet, its length first."""
        return bytes(self._buffer)


def _checked(length: int) -> int:
    if length > ENVELOPE_BYTES_MAX:
        raise TooLarge(f"a frame states {length} bytes, the limit is {ENVELOPE_BYTES_MAX}", _HINT)
    if length <= LENGTH_BYTES + SIGNATURE_BYTES:
        raise Altered(f"a frame states {length} bytes, too few for an envelope", _HINT)
    return length
