"""The parent's side of enrolment: tokens, and letting a node in.

Enters: a unit's code; a join request. Leaves: a token's text; a node record, a neighbour and certificates.
Must hold: a secret is stored as its hash and serves one node; checking it, marking it used and recording the node are
one transaction; a unit that another node keeps is refused; the same request again gets the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from ssl import PEM_cert_to_DER_cert

from syncd import limits
from syncd.clock import day_of, instant_of, time_ms_of
from syncd.errors import ConfigError, JoinRefused, TokenExpired, TokenMalformed, TokenUsed, UsageError
from syncd.language import say
from syncd.pipeline import Node
from syncd.security import authority, enrol, token
from syncd.security.authority import Authority
from syncd.security.enrol import JoinReply, JoinRequest, NodeInfo
from syncd.setup import insert_node, set_peer
from syncd.status import unit_words
from syncd.store.base import Row, Tx
from syncd.store.patience import patiently
from syncd.tree import NodeRecord, Tree, records_about

PEM_END = "-----END CERTIFICATE-----"


class TokenKind(StrEnum):
    """Whether the node that uses a token may have children of its own."""

    LEAF = "leaf"
    HUB = "hub"


class Succession(StrEnum):
    """Whether the new node shall follow another that keeps the unit; it keeps nothing before a hand-over says so."""

    NONE = "none"
    SUCCESSOR = "successor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How children reach this node: printed into tokens."""

    addresses: tuple[str, ...]
    ca_pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    id: str
    code: str
    name: str


@patiently
def make_token(
    node: Node,
    unit_code: str,
    kind: TokenKind,
    way: Way,
    valid_s: int,
    random_bytes: Callable[[int], bytes],
    succession: Succession = Succession.NONE,
) -> str:
    """A one-time token for the node that shall keep the unit `unit_code` (or unit id); stores the hash of its secret.

    Raises UsageError when no unit below this node's own, or more than one valid today, has that code.
    """
    if not way.addresses:
        raise ConfigError(
            say(
                "máy này chưa biết địa chỉ mà máy con gọi tới",
                "this node does not know the address its children reach it at",
            ),
            say("đặt `listen` và `addresses` trong syncd.toml", "set `listen` and `addresses` in syncd.toml"),
        )
    if not 1 <= valid_s <= limits.TOKEN_VALID_S_MAX:
        raise UsageError(
            say("mã có hạn {valid_s} giây", "a token valid for {valid_s} s", valid_s=valid_s),
            say("chọn từ 1 đến {most} giây", "choose 1 to {most} s", most=limits.TOKEN_VALID_S_MAX),
        )
    now_ms = node.clock()
    expires_s = now_ms // 1000 + valid_s  # the very second that the token's text names
    secret = token.new_secret(random_bytes)
    with node.store.write("token") as tx:
        unit = unit_of_code(tx, unit_code, day_of(now_ms))
        _require_free(tx, node, unit.id, None)
        tx.run(
            "INSERT INTO syncd_token (secret_hash, unit_id, hub, successor, expires_at) VALUES (?, ?, ?, ?, ?)",
            (
                token.secret_hash(secret),
                unit.id,
                int(kind is TokenKind.HUB),
                int(succession is Succession.SUCCESSOR),
                instant_of(expires_s * 1000),
            ),
        )
    return token.encode_token(
        token.Token(
            parent_urls=way.addresses,
            parent_id=node.node_id,
            ca_fingerprint=sha256(PEM_cert_to_DER_cert(way.ca_pem.strip())).digest(),
            secret=secret,
            expires_s=expires_s,
            unit_code=unit.code,
            unit_name=unit.name,
        )
    )


def holder_of(node: Node, unit_code: str) -> tuple[str, str, str | None] | None:
    """Name, tag and last exchange of the enrolled node that a newcomer for this unit would be refused for; None where
    the unit is free."""
    with node.store.read() as tx:
        unit = unit_of_code(tx, unit_code, day_of(node.clock()))
        kept = tx.value("SELECT node_id FROM syncd_keeper WHERE unit_id = ?", (unit.id,))
        holders = [each for each in records_about(tx, unit.id) if each.status == "enrolled"]
        if not holders:
            return None
        holder = next((each for each in holders if each.node_id == kept), holders[0])
        heard_at = tx.value("SELECT last_success_at FROM syncd_peer WHERE node_id = ?", (holder.node_id,))
    return holder.name, holder.tag, heard_at


def admit(node: Node, issuer: Authority, request: JoinRequest) -> JoinReply:
    """Enrol the node that sent `request` (decoded, not yet checked). Raises JoinRefused or a TokenError.

    Nothing is signed before the token was found good; it is taken in the transaction that writes the record.
    """
    enrol.check_request(request)
    now_ms = node.clock()
    with node.store.read() as tx:
        _usable(tx, request, now_ms)
    chain = authority.issue(issuer, request.csr, request.node_id, now_ms // 1000)
    hub_chain = None
    if request.issuer_csr is not None:
        hub_chain = authority.issue_hub(issuer, request.issuer_csr, request.node_id, now_ms // 1000)
    with node.store.write("admit") as tx:
        tx.lock("syncd admission")
        unit_id, succession = _take_token(tx, request, now_ms)
        if succession is Succession.NONE:
            _require_free(tx, node, unit_id, request.node_id)
        term = _record(tx, node, request, unit_id, now_ms)
        set_peer(tx, request.node_id, "child", request.name, certificate_sha256=_fingerprint(chain))
        unit = _unit(tx, unit_id)
    node.refresh()
    return JoinReply(
        certificate_pem=chain,
        issuer_pem=hub_chain,
        parents=tuple(_line(node)),
        recovery_public=node.recovery_public,
        unit_id=unit.id,
        unit_code=unit.code,
        unit_name=unit.name,
        term=term,
        root_id=node.root_id,
        server_time_ms=now_ms,
    )


def require_token(node: Node, secret: bytes) -> None:
    """Raise TokenMalformed unless this node once gave out a token with this secret."""
    with node.store.read() as tx:
        _token(tx, secret)


def _token(tx: Tx, secret: bytes) -> tuple[str, int, str, str | None, int]:
    """Of the token with this secret: its unit, whether for a hub, its end, who used it, whether for a successor."""
    found = tx.one(
        "SELECT unit_id, hub, expires_at, used_by, successor FROM syncd_token WHERE secret_hash = ?",
        (token.secret_hash(secret),),
    )
    if found is None:
        raise TokenMalformed(
            say("cấp trên này chưa từng cấp mã đó", "this parent never gave out that token"),
            say("xin người quản trị cấp trên mã mới", "ask the parent's operator for a new one"),
        )
    return found[0], found[1], found[2], found[3], found[4]


def _take_token(tx: Tx, request: JoinRequest, now_ms: int) -> tuple[str, Succession]:
    """The unit the token is for; marks it used. The node that used it may come again: its first reply was lost."""
    unit_id, used_by, successor = _usable(tx, request, now_ms)
    if used_by is None:
        tx.run(
            "UPDATE syncd_token SET used_at = ?, used_by = ? WHERE secret_hash = ? AND used_by IS NULL",
            (instant_of(now_ms), request.node_id, token.secret_hash(request.secret)),
        )
    return str(unit_id), Succession.SUCCESSOR if successor else Succession.NONE


def _usable(tx: Tx, request: JoinRequest, now_ms: int) -> tuple[str, str | None, int]:
    """The unit a token is for, who has used it, whether for a successor. Raises a TokenError or JoinRefused."""
    unit_id, hub, expires_at, used_by, successor = _token(tx, request.secret)
    if used_by is not None and used_by != request.node_id:
        raise TokenUsed(
            say("máy khác đã dùng mã đó", "another node has used that token"),
            say("xin người quản trị cấp trên mã mới", "ask the parent's operator for a new one"),
        )
    if used_by is None and now_ms >= time_ms_of(expires_at):
        raise TokenExpired(
            say("mã đó đã hết hạn lúc {expires_at}", "that token expired at {expires_at}", expires_at=expires_at),
            say("xin người quản trị cấp trên mã mới", "ask the parent's operator for a new one"),
        )
    if request.issuer_csr is not None and not hub:
        raise JoinRefused(
            say(
                "mã đó dành cho máy không có máy con, nhưng máy này đặt `listen`",
                "that token is for a node without children, but this one has `listen` set",
            ),
            say(
                "bỏ `listen`, hoặc xin người quản trị cấp trên mã cho máy có máy con",
                "remove `listen`, or ask the parent's operator for a hub's token",
            ),
        )
    return unit_id, used_by, successor


def _require_free(tx: Tx, node: Node, unit_id: str, node_id: str | None) -> None:
    """Refuse a unit that an enrolled node other than `node_id` keeps."""
    # Only records that count: any child can write one about a unit that is not its to give.
    for holder, name in [(r.node_id, r.name) for r in records_about(tx, unit_id) if r.status == "enrolled"]:
        if holder != node_id and node_id is not None:
            raise JoinRefused(
                say(
                    "đơn vị {unit} do máy {holder} giữ",
                    "unit {unit} is kept by node {holder}",
                    unit=_unit_named(tx, unit_id),
                    holder=f"{name} · {holder[28:]}",
                ),
                say(
                    "trạm mới nhận đơn vị qua bàn giao; máy đang giữ có thể tự gia nhập lại",
                    "a new station takes a unit over by a hand-over; the node that keeps it may join again itself",
                ),
            )
        if holder == node.node_id:
            raise UsageError(
                say(
                    "chính máy này giữ đơn vị {unit}",
                    "this node itself keeps unit {unit}",
                    unit=_unit_named(tx, unit_id),
                ),
                say("nêu đơn vị của máy sẽ gia nhập", "name the unit of the node that shall join"),
            )


def _unit_named(tx: Tx, unit_id: str) -> str:
    row = tx.one("SELECT code, name FROM unit WHERE id = ?", (unit_id,))
    return (unit_words(*row) if row is not None else None) or unit_id[28:]


def _record(tx: Tx, node: Node, request: JoinRequest, unit_id: str, now_ms: int) -> int:
    """The node's record, written once; returns its term."""
    known = tx.one(
        "SELECT parent_id, home_unit_id, term, status FROM node WHERE node_id = ?"
        " ORDER BY CASE WHEN parent_id = ? THEN 0 ELSE 1 END, term, id",
        (request.node_id, node.node_id),
    )
    if known is not None:
        parent_id, home_unit_id, term, status = known
        if request.node_id in node.tree().nodes:
            status = node.tree().nodes[request.node_id].status  # a hand-over may have revoked it
        if (parent_id, home_unit_id, status) != (node.node_id, unit_id, "enrolled"):
            above = node.tree().nodes.get(parent_id)
            named = f"{request.name} · {request.node_id[28:]}"
            raise JoinRefused(
                say("máy {node} đã bị thu hồi", "node {node} is not enrolled any more: it was revoked", node=named)
                if status == "revoked"
                else say(
                    "máy {node} đã gia nhập, giữ đơn vị {unit} dưới {parent}",
                    "node {node} is enrolled already, for unit {unit} below {parent}",
                    node=named,
                    unit=_unit_named(tx, home_unit_id),
                    parent=f"{above.name} · {parent_id[28:]}" if above is not None else parent_id[28:],
                ),
                say("gia nhập với khóa riêng: dùng thư mục trống", "join with keys of its own: use an empty directory"),
            )
        return int(term)
    bearer = next((other for other in node.tree().nodes if other[28:] == request.node_id[28:]), None)
    if bearer is not None:  # both would mint the same row ids, and each could speak for the other
        raise JoinRefused(
            say(
                "khóa của máy {node} trùng nhãn với máy {bearer}",
                "the keys of node {node} give it the tag of node {bearer}",
                node=f"{request.name} · {request.node_id[28:]}",
                bearer=node.tree().nodes[bearer].name,
            ),
            say("gia nhập với khóa mới: dùng thư mục trống", "join with new keys: use an empty directory"),
        )
    term = _first_term(tx, unit_id)
    insert_node(tx, NodeRecord(
        node_id=request.node_id, parent_id=node.node_id, name=request.name, signing_public=request.ed25519_public,
        sealing_public=request.x25519_public, unit_id=unit_id, term=term, status="enrolled",
    ), now_ms)  # fmt: skip
    kept_here = tx.one("SELECT term FROM syncd_keeper WHERE unit_id = ? AND mine = 1", (unit_id,))
    if kept_here is not None:  # what was typed here for a unit without a station passes to the station
        tx.run(
            "INSERT INTO handover (kept_unit_id, from_node_id, from_term, to_node_id, is_revoked, reason, author,"
            " ordered_at) VALUES (?, ?, ?, ?, 0, ?, ?, ?)",
            (unit_id, node.node_id, kept_here[0], request.node_id, "joined", "syncd join", instant_of(now_ms)),
        )
    return term


def _first_term(tx: Tx, unit_id: str) -> int:
    """The term a new node keeps its unit in; 0 where another keeps it, until a hand-over says otherwise."""
    if tx.one("SELECT 1 FROM syncd_keeper WHERE unit_id = ?", (unit_id,)) is not None:
        return 0
    return max((record.term for record in records_about(tx, unit_id)), default=0) + 1


def _line(node: Node) -> list[NodeInfo]:
    """This node and those above it, root last, as the child has to know them."""
    tree = node.tree()
    line = list(tree.line(node.node_id))
    return [_info(tree, node_id, len(line) - 1 - place) for place, node_id in enumerate(line)]


def _info(tree: Tree, node_id: str, depth: int) -> NodeInfo:
    record = tree.nodes[node_id]
    return NodeInfo(
        node_id=node_id, name=record.name, parent_id=record.parent_id, ed25519_public=record.signing_public,
        x25519_public=record.sealing_public, unit_id=record.unit_id, depth=depth,
    )  # fmt: skip


# The units at and below this node's own, with a code or id: codes are re-used, so several may answer.
_UNITS_OF_CODE = """
    WITH RECURSIVE below (id) AS (
        SELECT value FROM syncd_meta WHERE key = 'unit_id'
        UNION
        SELECT CAST(u.id AS text) FROM unit AS u JOIN below AS b ON CAST(u.parent_id AS text) = b.id
    )
    SELECT CAST(u.id AS text), u.code, u.name, u.valid_from, u.valid_to
    FROM unit AS u JOIN below AS b ON CAST(u.id AS text) = b.id
    WHERE u.code = ? OR CAST(u.id AS text) = ?
    ORDER BY u.valid_from, u.id
"""


def unit_of_code(tx: Tx, code: str, today: str) -> _Unit:
    found = tx.all(_UNITS_OF_CODE, (code, code))
    valid = [row for row in found if (row[3] or "") <= today and (row[4] is None or today < row[4])]
    if len(valid) == 1 or (len(found) == 1 and found[0][0] == code):
        row = valid[0] if valid else found[0]
        return _Unit(id=row[0], code=row[1], name=row[2])
    if not found:
        raise UsageError(
            say(
                "không đơn vị nào ở hoặc dưới đơn vị của máy này mang mã {unit_code!r}",
                "no unit at or below this node's has the code {unit_code!r}",
                unit_code=code,
            ),
            say(
                "vừa gia nhập thì chờ đơn vị về; tại máy gốc, `syncd units import` nạp đơn vị",
                "right after joining, wait for the units to come down; at the root, `syncd units import` brings them",
            ),
        )
    what = (
        say("nhiều đơn vị", "several units have")
        if len(valid) > 1
        else say("không đơn vị nào còn hiệu lực hôm nay", "no unit valid today has")
    )
    raise UsageError(
        say(
            "{what} mang mã {unit_code!r}: {found}",
            "{what} the code {unit_code!r}: {found}",
            what=what,
            unit_code=code,
            found="; ".join(map(_described, found[: limits.SHOWN_UNITS_MAX])),
        ),
        say("nêu id của đơn vị thay cho mã", "give the unit's id instead"),
    )


def _described(row: Row) -> str:
    return f"{row[0]} {row[2]} ({row[3] or '…'} – {row[4] or '…'})"


def _unit(tx: Tx, unit_id: str) -> _Unit:
    row = tx.one("SELECT id, code, name FROM unit WHERE id = ?", (unit_id,))
    if row is None:
        raise JoinRefused(
            say("đơn vị {unit_id} của mã đó không còn", "the unit {unit_id} of that token is gone", unit_id=unit_id),
            say("xin người quản trị cấp trên mã mới", "ask the parent's operator for a new token"),
        )
    return _Unit(id=row[0], code=row[1], name=row[2])


def _fingerprint(chain_pem: str) -> bytes:
    """SHA-256 of the first certificate of a chain."""
    first = chain_pem.partition(PEM_END)[0] + PEM_END
    return sha256(PEM_cert_to_DER_cert(first)).digest()
