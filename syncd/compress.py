"""zstd behind one small door. Enters: bytes. Leaves: one zstd frame, or the bytes it held.

Must hold: nothing is unfolded beyond the size its header states, however small the frame; one frame, nothing after it.
"""

import sys
from typing import Final

from syncd.errors import Altered, TooLarge
from syncd.limits import PLAIN_BYTES_MAX, ZSTD_WINDOW_LOG_MAX
from syncd.protocol.decoding import decoding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Content size and checksum are left out: the envelope's header states the one and its hash replaces the other.
_PACK: Final[dict[int, int]] = {
    zstd.CompressionParameter.compression_level: 3,
    zstd.CompressionParameter.content_size_flag: 0,
    zstd.CompressionParameter.checksum_flag: 0,
}
_UNPACK: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX}
ZSTD_VERSION: Final = zstd.zstd_version
_HINT = "nothing was applied; fetch the envelope again"


def compress(plain: bytes) -> bytes:
    """One zstd frame, level 3."""
    return zstd.compress(plain, options=_PACK)


def decompress(packed: bytes, plain_bytes: int) -> bytes:
    """The `plain_bytes` bytes in `packed`. Raises `TooLarge` for a bomb, `Altered` unless one frame of that size."""
    if plain_bytes > PLAIN_BYTES_MAX:
        raise TooLarge(f"a part states {plain_bytes} plain bytes, the limit is {PLAIN_BYTES_MAX}", _HINT)
    unpacker = zstd.ZstdDecompressor(options=_UNPACK)
    with decoding("a part is not a zstd frame that this node reads", _HINT):
        # One byte more than stated tells a longer frame from a whole one, without unfolding the rest of it.
        plain = unpacker.decompress(packed, plain_bytes + 1)
    if len(plain) > plain_bytes:
        raise TooLarge(f"a part unfolds to more than the {plain_bytes} bytes its header states", _HINT)
    if not unpacker.eof or unpacker.unused_data or len(plain) != plain_bytes:
        raise Altered("a part is not exactly one zstd frame of the stated size", _HINT)
    return plain
