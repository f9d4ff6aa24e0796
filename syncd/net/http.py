"""What client and server agree on beside the messages: routes, the form of a body, errors and their status.

Enters: bytes of a body, errors. Leaves: message and rest; a status and `[code, text, hint]`, and back to our errors.
Must hold: no library of the network is imported here; a foreign code never becomes a class that was not meant.
"""

from __future__ import annotations

import msgspec

from syncd import errors, limits
from syncd.errors import Altered, ParentUnreachable, SyncdError, TooLarge
from syncd.language import Said, english_of, say
from syncd.protocol.decoding import decoding
from syncd.text import escaped

CA, JOIN, HELLO, PUSH, PULL = "/v1/ca", "/v1/join", "/v1/hello", "/v1/push", "/v1/pull"
STALLED = 408  # what was asked did not arrive whole in time
LENGTH_BYTES = 4
ERROR_CHARS_MAX = 1000  # of its text, and of its hint

# The first class that fits an error gives its status; the code is the class's own name.
_STATUS: tuple[tuple[type[SyncdError], int], ...] = (
    (errors.DiskFull, 507),
    (errors.TemporaryError, 503),
    (errors.TooLarge, 413),
    (errors.Unsupported, 426),
    (errors.Gap, 409),
    (errors.EnvelopeError, 400),
    (errors.TrustError, 403),
    (errors.UsageError, 400),
)
_KNOWN = {
    kind.__name__: kind
    for kind in (
        errors.Busy,
        errors.DiskFull,
        errors.DatabaseLocked,
        errors.DatabaseUnreachable,
        errors.TooLarge,
        errors.Unsupported,
        errors.Gap,
        errors.Altered,
        errors.WrongPeer,
        errors.JoinRefused,
        errors.TokenMalformed,
        errors.TokenExpired,
        errors.TokenUsed,
        errors.TrustError,
    )
}
_ERROR = msgspec.msgpack.Decoder(tuple[str, str, str])


def status_of(error: SyncdError) -> int:
    """The HTTP status that stands for an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def encode_error(error: SyncdError) -> bytes:
    """An error for the other side, always in English. One that is nobody's fault there says no more than that."""
    if status_of(error) == 500:
        return msgspec.msgpack.encode(("SyncdError", "the parent failed", "its log says why; tried again by itself"))
    message, hint = english_of(error.message), english_of(error.hint)
    return msgspec.msgpack.encode((type(error).__name__, message[:ERROR_CHARS_MAX], hint[:ERROR_CHARS_MAX]))


def place_of(url: str, node_id: str) -> str:
    """Where an answer comes from: the node's short id is shown, its whole one is stored."""
    shown = say("{url} (máy {tag})", "{url} (node {tag})", url=url, tag=node_id[28:])
    return Said(shown, f"{url} (node {node_id})")


def decode_error(status: int, body: bytes, place: str) -> SyncdError:
    """The other side's error as ours."""
    if status == STALLED:
        return ParentUnreachable(
            say(
                "{place} chờ mãi không nhận đủ câu hỏi: đường truyền bị nghẽn giữa chừng",
                "{place} waited in vain for the rest of the question: the line stalls",
                place=place,
            ),
            hint=say(
                "phần đã tới được giữ, sẽ tự thử lại; nếu lặp lại, kiểm tra đường truyền (MTU, VPN, tường lửa)",
                "what arrived is kept, tried again by itself; if it comes again check the line (MTU, VPN, firewall)",
            ),
        )
    foreign = ParentUnreachable(
        say(
            "{place} trả lời với mã {status}, không như một máy",
            "{place} answers with status {status}, not as a node does",
            place=place,
            status=status,
        ),
        hint=say(
            "kiểm tra địa chỉ cấp trên và thiết bị ở giữa",
            "check the parent's address, and what stands in between",
        ),
    )
    try:
        with decoding("an error's body", ""):
            code, text, hint = _ERROR.decode(body)
    except Altered:
        return foreign
    text, hint = escaped.line(text[:ERROR_CHARS_MAX]), escaped.line(hint[:ERROR_CHARS_MAX])
    kind = _KNOWN.get(code)
    if kind is None:
        return ParentUnreachable(f"{english_of(place)} failed ({status}): {text}", hint=hint)
    return kind(f"{english_of(place)}: {text}", hint)


def prefixed(message: bytes, rest: bytes = b"") -> bytes:
    """A body: length, message, frames."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message + rest


class MessageReader:
    """Takes the message off the front of a body, whatever the chunks it comes in."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.message: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """What follows the message; empty while the message is not whole. Raises TooLarge, Altered."""
        if self.message is not None:
            return data
        self._buffer += data
        if len(self._buffer) < LENGTH_BYTES:
            return b""
        end = LENGTH_BYTES + int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
        if end > limits.HANDSHAKE_BYTES_MAX:
            raise TooLarge(f"a message of {end} bytes", hint=f"at most {limits.HANDSHAKE_BYTES_MAX} bytes are read")
        if len(self._buffer) < end:
            return b""
        self.message = bytes(self._buffer[LENGTH_BYTES:end])
        rest = bytes(self._buffer[end:])
        self._buffer.clear()
        return rest

    def require(self) -> bytes:
        """The message; Altered when the body ended before it."""
        if self.message is None:
            raise Altered(
                "a body without its message", hint="the other side runs another version, or the line cut it off"
            )
        return self.message
