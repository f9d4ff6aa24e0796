"""The two messages of join, and what each side checks. What enters: keys, token, certificates. What leaves: bytes
for the wire, or refusal.

    station                                          parent
    fetch ca.crt, compare with the token's print     —
    build_request ── over TLS with that root ──────► check_request, then the store: an unused token's secret?
    check_reply   ◄───────────────────────────────── issue · issue_hub · JoinReply

What must hold: all keys of a request are bound to its node id by one signature, so nobody enrols another's key; every
node a reply names is the hash of the key it brings, from the parent to the root without a break; nothing secret
travels but the one-time secret.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from schema.replicated import TERM_MAX
from syncd.errors import JoinRefused
from syncd.language import Both, say
from syncd.limits import TREE_DEPTH_MAX
from syncd.protocol.decoding import decoding
from syncd.security import authority, hpke
from syncd.security.identity import NodeKeys, is_id_text, node_id_from_public, require_node_id_text, verify_signature
from syncd.security.limits import (
    CODE_CHARS_MAX,
    JOIN_REPLY_BYTES_MAX,
    JOIN_REQUEST_BYTES_MAX,
    KEY_BYTES,
    NAME_CHARS_MAX,
    PEM_BYTES_MAX,
    REQUEST_BYTES_MAX,
    TOKEN_SECRET_BYTES,
)
from syncd.security.token import Token

_Message = TypeVar("_Message")

_PROOF_CONTEXT = b"syncd join v1"
_STATION_HINT = Both(
    "gia nhập lại bằng phiên bản syncd này với mã mới", "join again with this version of syncd and a new token"
)
_PARENT_HINT = Both(
    "đừng dùng cấp trên này; nhờ người quản trị của nó kiểm tra, rồi gia nhập với mã mới",
    "do not use this parent; ask its operator to check it, then join with a new token",
)


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What a station sends. `issuer_csr`: only of a node that will have children. `proof`: Ed25519 over all other
    fields.
    """

    secret: bytes
    node_id: str
    ed25519_public: bytes
    x25519_public: bytes
    csr: bytes
    issuer_csr: bytes | None
    name: str
    proof: bytes

    def __repr__(self) -> str:
        return f"JoinRequest(node_id={self.node_id!r}, name={self.name!r})"


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """One node above. `depth`: 0 at the root, which alone has no `parent_id`."""

    node_id: str
    name: str
    parent_id: str | None
    ed25519_public: bytes
    x25519_public: bytes
    unit_id: str | None
    depth: int


class JoinReply(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What the parent answers. `parents`: the parent first, the root last. PEM chains: own certificate first, root
    left out.
    """

    certificate_pem: str
    issuer_pem: str | None
    parents: tuple[NodeInfo, ...]
    recovery_public: bytes
    unit_id: str
    unit_code: str
    unit_name: str
    term: int
    root_id: str
    server_time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsKeys:
    """The keys born for TLS at join; `issuer` only at a node that will have children."""

    node: ec.EllipticCurvePrivateKey = field(repr=False)
    issuer: ec.EllipticCurvePrivateKey | None = field(repr=False)


def build_request(token: Token, keys: NodeKeys, tls_keys: TlsKeys, name: str) -> JoinRequest:
    """The station's request, with proof."""
    request = JoinRequest(
        secret=token.secret,
        node_id=keys.node_id,
        ed25519_public=keys.ed25519_public,
        x25519_public=keys.x25519_public,
        csr=authority.make_request(tls_keys.node, keys.node_id),
        issuer_csr=authority.make_request(tls_keys.issuer, keys.node_id) if tls_keys.issuer else None,
        name=name,
        proof=b"",
    )
    return msgspec.structs.replace(request, proof=keys.sign(_proof_bytes(request)))


def check_request(request: JoinRequest) -> None:
    """The parent's side: sizes, the id from the key, the proof. The signing requests are checked where they are used
    (`issue`).
    """
    _check_request_sizes(request)
    require_node_id_text(request.node_id)
    if node_id_from_public(request.ed25519_public) != request.node_id:
        raise JoinRefused(
            say(
                "khóa ký gửi tới không phải của máy {node}",
                "the signing key sent is not that of node {node}",
                node=request.node_id,
            ),
            _STATION_HINT.here,
        )
    if not verify_signature(request.ed25519_public, request.proof, _proof_bytes(request)):
        raise JoinRefused(
            say(
                "bằng chứng của máy {node} không khớp yêu cầu của nó",
                "the proof of node {node} does not fit its request",
                node=request.node_id,
            ),
            _STATION_HINT.here,
        )
    hpke.check_exchange_public(request.x25519_public)


def check_reply(reply: JoinReply, token: Token, keys: NodeKeys, tls_keys: TlsKeys, ca_pem: str) -> None:
    """The station's side: both certificates lead to the pinned root and are for our keys; the nodes above form one
    line to the root.
    """
    chain = authority.require_chain(reply.certificate_pem, ca_pem, tls_keys.node)
    if authority.node_id_of(authority.der_of(chain[0])) != keys.node_id:
        raise JoinRefused(
            say("cấp trên gửi chứng thư của máy khác", "the parent sent another node's certificate"), _PARENT_HINT.here
        )
    if (reply.issuer_pem is None) != (tls_keys.issuer is None):
        raise JoinRefused(
            say(
                "trả lời của cấp trên và yêu cầu của máy này không khớp về quyền có máy trực thuộc",
                "the parent's reply and our request disagree whether we may have children",
            ),
            _PARENT_HINT.here,
        )
    if reply.issuer_pem is not None and tls_keys.issuer is not None:
        authority.require_chain(reply.issuer_pem, ca_pem, tls_keys.issuer)
    _check_line(reply, token.parent_id)
    _check_place(reply)


def encode_request(request: JoinRequest) -> bytes:
    return msgspec.msgpack.encode(request)


def decode_request(body: bytes) -> JoinRequest:
    return _decode(body, JOIN_REQUEST_BYTES_MAX, _REQUEST, Both("yêu cầu gia nhập", "join request"), _STATION_HINT)


def secret_of(body: bytes) -> bytes:
    """The secret that a request shows, read off its first bytes alone: what comes with a wrong one costs no more."""
    secret = body[len(_SECRET_HEAD) :][:TOKEN_SECRET_BYTES]
    if not body.startswith(_SECRET_HEAD) or len(secret) != TOKEN_SECRET_BYTES:
        raise JoinRefused(say("không đọc được yêu cầu gia nhập", "the join request cannot be read"), _STATION_HINT.here)
    return secret


def encode_reply(reply: JoinReply) -> bytes:
    return msgspec.msgpack.encode(reply)


def decode_reply(body: bytes) -> JoinReply:
    return _decode(body, JOIN_REPLY_BYTES_MAX, _REPLY, Both("trả lời gia nhập", "reply to our join"), _PARENT_HINT)


# How every request begins in MessagePack: an array of its fields, the first of them so many bytes.
_SECRET_HEAD = bytes((0x90 | len(JoinRequest.__struct_fields__), 0xC4, TOKEN_SECRET_BYTES))
_REQUEST = msgspec.msgpack.Decoder(JoinRequest)
_REPLY = msgspec.msgpack.Decoder(JoinReply)


def _decode(
    body: bytes, bytes_max: int, decoder: msgspec.msgpack.Decoder[_Message], what: Both, hint: Both
) -> _Message:
    if len(body) > bytes_max:
        raise JoinRefused(
            say(
                "{what}: {size} byte; chỉ đọc tối đa {most}",
                "a {what} of {size} bytes; at most {most} are read",
                what=what.here,
                size=len(body),
                most=bytes_max,
            ),
            hint.here,
        )
    with decoding(say("không đọc được {what}", "the {what} cannot be read", what=what.here), hint.here, JoinRefused):
        return decoder.decode(body)


def _proof_bytes(request: JoinRequest) -> bytes:
    """A digest over every field but the proof; MessagePack of one array, so that no byte can move from one field to
    the next.
    """
    fields = msgspec.structs.astuple(msgspec.structs.replace(request, proof=b""))
    return _PROOF_CONTEXT + sha256(msgspec.msgpack.encode(fields)).digest()


def _check_request_sizes(request: JoinRequest) -> None:
    sizes_hold = (
        len(request.secret) == TOKEN_SECRET_BYTES
        and len(request.ed25519_public) == KEY_BYTES
        and len(request.csr) <= REQUEST_BYTES_MAX
        and len(request.issuer_csr or b"") <= REQUEST_BYTES_MAX
        and 1 <= len(request.name) <= NAME_CHARS_MAX
        # A name is shown on terminals: no control characters in it.
        and request.name.isprintable()
    )
    if not sizes_hold:
        raise JoinRefused(
            say("một trường của yêu cầu gia nhập vượt giới hạn", "a field of the join request is beyond its bound"),
            _STATION_HINT.here,
        )


def _check_line(reply: JoinReply, parent_id: str) -> None:
    """From the parent the token names to the root the reply names, each the parent of the one before, each proven by
    its key.
    """
    nodes = reply.parents
    if not 1 <= len(nodes) <= TREE_DEPTH_MAX:
        raise JoinRefused(
            say("trả lời nêu {count} máy cấp trên", "the reply names {count} nodes above us", count=len(nodes)),
            _PARENT_HINT.here,
        )
    expected_ids = (parent_id, *(node.parent_id for node in nodes))
    for position, node in enumerate(nodes):
        if node.node_id != expected_ids[position]:
            raise JoinRefused(
                say(
                    "máy {node} không phải cấp trên của máy ngay dưới nó",
                    "node {node} is not the parent of the one below it",
                    node=node.node_id,
                ),
                _PARENT_HINT.here,
            )
        if node_id_from_public(node.ed25519_public) != node.node_id:
            raise JoinRefused(
                say(
                    "khóa gửi cho máy {node} không phải của máy đó",
                    "the key sent for node {node} is not its own",
                    node=node.node_id,
                ),
                _PARENT_HINT.here,
            )
        if len(node.name) > NAME_CHARS_MAX or not node.name.isprintable():
            raise JoinRefused(
                say("không hiện được tên của máy {node}", "the name of node {node} cannot be shown", node=node.node_id),
                _PARENT_HINT.here,
            )
        if node.depth != len(nodes) - 1 - position:
            raise JoinRefused(
                say(
                    "máy {node} ở độ sâu {depth}, trái với chuỗi máy",
                    "node {node} stands at depth {depth}, which the line contradicts",
                    node=node.node_id,
                    depth=node.depth,
                ),
                _PARENT_HINT.here,
            )
        hpke.check_exchange_public(node.x25519_public)
    if nodes[-1].parent_id is not None or nodes[-1].node_id != reply.root_id:
        raise JoinRefused(
            say("chuỗi máy cấp trên không kết thúc ở máy gốc", "the line of nodes above us does not end at the root"),
            _PARENT_HINT.here,
        )


def _check_place(reply: JoinReply) -> None:
    hpke.check_exchange_public(reply.recovery_public)
    sizes_hold = (
        0 <= reply.term <= TERM_MAX  # 0: another node keeps the unit, until a hand-over says otherwise
        and is_id_text(reply.unit_id)
        and len(reply.unit_code) <= CODE_CHARS_MAX
        and len(reply.unit_name) <= NAME_CHARS_MAX
        and (reply.unit_code + reply.unit_name).isprintable()
        and len(reply.certificate_pem) <= PEM_BYTES_MAX
    )
    if not sizes_hold:
        raise JoinRefused(
            say(
                "một trường trong trả lời của cấp trên vượt giới hạn",
                "a field of the parent's reply is beyond its bound",
            ),
            _PARENT_HINT.here,
        )
