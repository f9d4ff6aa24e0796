"""The one-time token a station is enrolled with. What enters: what the parent wants the station to know. What
leaves: one line of text.

    SYNCD1.<base64url of body and the first 4 bytes of SHA-256(body)>     body: MessagePack array, fields as in `Token`

What must hold: the station can prove the parent by the fingerprint before it shows the secret; a typing error is told
apart from a token that is wrong; the secret appears in no repr, and the parent keeps its hash only.
"""

import hmac
import ssl
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec

from syncd.errors import TokenExpired, TokenMalformed, WrongPeer
from syncd.language import Both, say
from syncd.protocol.decoding import decoding
from syncd.security.identity import RandomBytes, require_node_id_text
from syncd.security.limits import (
    CODE_CHARS_MAX,
    NAME_CHARS_MAX,
    PEM_BYTES_MAX,
    TOKEN_CHARS_MAX,
    TOKEN_CHECKSUM_BYTES,
    TOKEN_SECRET_BYTES,
    TOKEN_URLS_MAX,
    URL_CHARS_MAX,
)

TOKEN_PREFIX = "SYNCD1."
FINGERPRINT_BYTES = 32

_SECRET_CONTEXT = b"syncd token v1"
_WIRE = msgspec.msgpack.Decoder(tuple[tuple[str, ...], str, bytes, bytes, int, str, str])
_COPY_HINT = Both(
    "chép lại trọn dòng từ màn hình cấp trên, hoặc xin cấp trên mã mới",
    "copy the whole line again from the parent's screen, or ask the parent for a new token",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`expires_s`: unix seconds. `ca_fingerprint`: SHA-256 of the root certificate's DER. Code and name are for
    people.
    """

    parent_urls: tuple[str, ...]
    parent_id: str
    ca_fingerprint: bytes
    secret: bytes = field(repr=False)
    expires_s: int
    unit_code: str
    unit_name: str


def new_secret(random_bytes: RandomBytes) -> bytes:
    """128 random bits."""
    return random_bytes(TOKEN_SECRET_BYTES)


def secret_hash(secret: bytes) -> bytes:
    """What the parent stores. One round is enough: 128 random bits cannot be guessed."""
    return sha256(_SECRET_CONTEXT + secret).digest()


def encode_token(token: Token) -> str:
    """One line of text; `TokenMalformed` when a field is beyond its bound."""
    _check_fields(token)
    wire = (
        token.parent_urls,
        token.parent_id,
        token.ca_fingerprint,
        token.secret,
        token.expires_s,
        token.unit_code,
        token.unit_name,
    )
    body = msgspec.msgpack.encode(wire)
    text = TOKEN_PREFIX + urlsafe_b64encode(body + _checksum(body)).decode("ascii").rstrip("=")
    if len(text) > TOKEN_CHARS_MAX:
        raise TokenMalformed(
            say("mã gia nhập sẽ dài {chars} ký tự", "the token would have {chars} characters", chars=len(text)),
            say("khai ít địa chỉ hơn hoặc địa chỉ ngắn hơn", "give fewer or shorter parent addresses"),
        )
    return text


def decode_token(text: str) -> Token:
    """The token in `text`; blanks and line breaks from copying are ignored. `TokenMalformed` says what is wrong with
    it.
    """
    if len(text) > 2 * TOKEN_CHARS_MAX:
        raise TokenMalformed(
            say(
                "chuỗi {chars} ký tự này không phải mã gia nhập",
                "a text of {chars} characters is not a token",
                chars=len(text),
            ),
            _COPY_HINT.here,
        )
    body = _checked_body("".join(text.split()))
    with decoding(
        say(
            "mã gia nhập nguyên vẹn nhưng phiên bản này không hiểu",
            "the token is intact but says nothing this version knows",
        ),
        say("nâng cấp syncd trên trạm này", "upgrade this station"),
        TokenMalformed,
    ):
        urls, parent_id, fingerprint, secret, expires_s, unit_code, unit_name = _WIRE.decode(body)
    token = Token(
        parent_urls=urls,
        parent_id=parent_id,
        ca_fingerprint=fingerprint,
        secret=secret,
        expires_s=expires_s,
        unit_code=unit_code,
        unit_name=unit_name,
    )
    _check_fields(token)
    return token


def require_not_expired(token: Token, now_s: int) -> None:
    """For the station, before it travels; the parent decides by its own clock."""
    if now_s >= token.expires_s:
        raise TokenExpired(
            say(
                "mã gia nhập cho {unit} đã hết hạn {seconds} giây theo đồng hồ máy này",
                "the token for {unit} expired {seconds} s ago by this computer's clock",
                unit=token.unit_code,
                seconds=now_s - token.expires_s,
            ),
            say(
                "kiểm tra đồng hồ; nếu đúng, xin máy cấp trên mã mới",
                "check the clock; if it is right, ask the parent for a new token",
            ),
        )


def require_ca(ca_pem: str, ca_fingerprint: bytes) -> None:
    """Refuse a root certificate other than the one the token pins: somebody else is answering."""
    if len(ca_pem) > PEM_BYTES_MAX or ca_pem.count("-----BEGIN") != 1:
        raise WrongPeer(
            say("cấp trên trả lời không phải một chứng thư gốc", "the parent's answer is not one root certificate"),
            say("kiểm tra địa chỉ cấp trên trong mã gia nhập", "check the parent's address in the token"),
        )
    with decoding(
        say("không đọc được chứng thư gốc của cấp trên", "the parent's root certificate cannot be read"),
        say("kiểm tra địa chỉ cấp trên trong mã gia nhập", "check the parent's address in the token"),
        WrongPeer,
    ):
        der = ssl.PEM_cert_to_DER_cert(ca_pem.strip())
    if not hmac.compare_digest(sha256(der).digest(), ca_fingerprint):
        shown, pinned = sha256(der).hexdigest()[:16], ca_fingerprint.hex()[:16]
        raise WrongPeer(
            say(
                "chứng thư gốc nhận được ({shown}…) khác chứng thư ghi trong mã gia nhập ({pinned}…)",
                "the root certificate shown ({shown}…) is not the one the token names ({pinned}…)",
                shown=shown,
                pinned=pinned,
            ),
            say(
                "dừng lại: có thể có kẻ đứng giữa trạm này và cấp trên; gọi cho người quản trị cấp trên",
                "do not go on: somebody may stand between this station and its parent; call the parent's operator",
            ),
        )


def _checked_body(text: str) -> bytes:
    if not text.startswith(TOKEN_PREFIX):
        if text.startswith("SYNCD"):
            raise TokenMalformed(
                say(
                    "mã gia nhập bắt đầu bằng {found!r}, không phải {prefix!r}",
                    "the token begins with {found!r}, not {prefix!r}",
                    found=text[:7],
                    prefix=TOKEN_PREFIX,
                ),
                say("dùng cùng phiên bản syncd với cấp trên", "use the parent's version of syncd"),
            )
        raise TokenMalformed(
            say("đây không phải mã gia nhập", "this text is not a token"),
            say(
                "mã gia nhập là một dòng bắt đầu bằng {prefix}",
                "a token is one line that begins with {prefix}",
                prefix=TOKEN_PREFIX,
            ),
        )
    with decoding(
        say("mã gia nhập thiếu hoặc có ký tự sai", "the token is incomplete or has a wrong character"),
        _COPY_HINT.here,
        TokenMalformed,
    ):
        raw = _decode_base64url(text.removeprefix(TOKEN_PREFIX).encode("ascii"))
    body, checksum = raw[:-TOKEN_CHECKSUM_BYTES], raw[-TOKEN_CHECKSUM_BYTES:]
    if not hmac.compare_digest(_checksum(body), checksum):
        raise TokenMalformed(
            say(
                "mã gia nhập bị gõ sai hoặc bị cắt: tổng kiểm tra không khớp",
                "the token was mistyped or cut off: its checksum does not fit",
            ),
            _COPY_HINT.here,
        )
    return body


def _decode_base64url(encoded: bytes) -> bytes:
    """base64url without padding, refusing what the standard function would silently skip."""
    raw = urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
    if urlsafe_b64encode(raw).rstrip(b"=") != encoded:
        raise ValueError("not canonical base64url")
    return raw


def _checksum(body: bytes) -> bytes:
    return sha256(body).digest()[:TOKEN_CHECKSUM_BYTES]


def _check_fields(token: Token) -> None:
    require_node_id_text(token.parent_id)
    sizes_hold = (
        1 <= len(token.parent_urls) <= TOKEN_URLS_MAX
        and all(len(url) <= URL_CHARS_MAX and url.startswith("https://") for url in token.parent_urls)
        and len(token.ca_fingerprint) == FINGERPRINT_BYTES
        and len(token.secret) == TOKEN_SECRET_BYTES
        and token.expires_s > 0
        and len(token.unit_code) <= CODE_CHARS_MAX
        and len(token.unit_name) <= NAME_CHARS_MAX
        and (token.unit_code + token.unit_name).isprintable()
    )
    if not sizes_hold:
        raise TokenMalformed(
            say(
                "mã gia nhập cho {unit!r} có trường vượt giới hạn",
                "the token for {unit!r} has a field beyond its bound",
                unit=token.unit_code[:CODE_CHARS_MAX],
            ),
            say(
                "1–{urls} địa chỉ https, mã đơn vị tối đa {code}, tên tối đa {name} ký tự",
                "1–{urls} https addresses, code up to {code}, name up to {name} characters",
                urls=TOKEN_URLS_MAX,
                code=CODE_CHARS_MAX,
                name=NAME_CHARS_MAX,
            ),
        )
