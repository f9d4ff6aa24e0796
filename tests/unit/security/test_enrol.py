"""Join: the parent admits only keys that belong together, the station believes only the parent its token names."""

import msgspec
import pytest

from syncd.errors import JoinRefused, SyncdError, TrustError, WrongPeer
from syncd.security import authority, enrol
from syncd.security.enrol import JoinReply, JoinRequest, NodeInfo, TlsKeys
from syncd.security.identity import NodeKeys
from syncd.security.token import Token
from tests.unit.security.builders import NOW_S, Tree, make_tree

UNIT_ID = "01920000-0000-7000-8000-0000aaaabbbb"
KEYS = NodeKeys.generate()
TLS_KEYS = TlsKeys(node=authority.generate_tls_key(), issuer=None)
HUB_KEYS = TlsKeys(node=authority.generate_tls_key(), issuer=authority.generate_tls_key())


@pytest.fixture(scope="module")
def tree() -> Tree:
    return make_tree()


@pytest.fixture(scope="module")
def token(tree: Tree) -> Token:
    return Token(
        parent_urls=("https://10.1.2.3:8443",),
        parent_id=tree.district_keys.node_id,
        ca_fingerprint=authority.fingerprint(authority.der_of(tree.root.certificate)),
        secret=bytes(16),
        expires_s=NOW_S + 600,
        unit_code="00004",
        unit_name="Phường Ba Đình",
    )


def node_info(keys: NodeKeys, parent_id: str | None, depth: int) -> NodeInfo:
    return NodeInfo(
        node_id=keys.node_id,
        name=f"node {depth}",
        parent_id=parent_id,
        ed25519_public=keys.ed25519_public,
        x25519_public=keys.x25519_public,
        unit_id=None,
        depth=depth,
    )


def make_reply(tree: Tree, request: JoinRequest) -> JoinReply:
    issuer = tree.district_issuer
    hub = request.issuer_csr
    return JoinReply(
        certificate_pem=authority.issue(issuer, request.csr, request.node_id, NOW_S),
        issuer_pem=None if hub is None else authority.issue_hub(issuer, hub, request.node_id, NOW_S),
        parents=(node_info(tree.district_keys, tree.root_keys.node_id, 1), node_info(tree.root_keys, None, 0)),
        recovery_public=NodeKeys.generate().x25519_public,
        unit_id=UNIT_ID,
        unit_code="00004",
        unit_name="Phường Ba Đình",
        term=1,
        root_id=tree.root_keys.node_id,
        server_time_ms=NOW_S * 1000,
    )


@pytest.mark.parametrize("tls_keys", [TLS_KEYS, HUB_KEYS], ids=["leaf", "hub"])
def test_join_round_trip(tree: Tree, token: Token, tls_keys: TlsKeys) -> None:
    request = enrol.decode_request(enrol.encode_request(enrol.build_request(token, KEYS, tls_keys, "Trạm y tế")))
    enrol.check_request(request)
    reply = enrol.decode_reply(enrol.encode_reply(make_reply(tree, request)))
    enrol.check_reply(reply, token, KEYS, tls_keys, tree.ca_pem)


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": b"\x01" * 16},
        {"node_id": NodeKeys.generate().node_id},
        {"ed25519_public": NodeKeys.generate().ed25519_public},
        {"x25519_public": NodeKeys.generate().x25519_public},
        {"csr": authority.make_request(authority.generate_tls_key(), KEYS.node_id)},
        {"issuer_csr": authority.make_request(authority.generate_tls_key(), KEYS.node_id)},
        {"name": "another"},
        {"proof": bytes(64)},
        {"proof": b""},
        {"secret": b"short"},
        {"csr": bytes(5000)},
        {"name": ""},
        {"name": "\x1b[31m"},
        {"name": "x" * 201},
        {"node_id": "nobody"},
    ],
)
def test_any_changed_field_of_a_request_is_refused(token: Token, changes: dict[str, object]) -> None:
    request = enrol.build_request(token, KEYS, TLS_KEYS, "station")
    with pytest.raises(TrustError):
        enrol.check_request(msgspec.structs.replace(request, **changes))


def test_nobody_enrols_under_another_nodes_id_by_signing_himself(token: Token) -> None:
    claimed = msgspec.structs.replace(
        enrol.build_request(token, KEYS, TLS_KEYS, "station"), node_id=NodeKeys.generate().node_id
    )
    signed = msgspec.structs.replace(claimed, proof=KEYS.sign(enrol._proof_bytes(claimed)))
    with pytest.raises(JoinRefused, match="not that of node"):
        enrol.check_request(signed)


def test_own_signature_over_a_useless_exchange_key_is_refused(token: Token) -> None:
    request = msgspec.structs.replace(enrol.build_request(token, KEYS, TLS_KEYS, "station"), x25519_public=bytes(32))
    signed = msgspec.structs.replace(request, proof=KEYS.sign(enrol._proof_bytes(request)))
    with pytest.raises(TrustError, match="public key"):
        enrol.check_request(signed)


def test_reply_whose_line_of_parents_is_broken_is_refused(tree: Tree, token: Token) -> None:
    good = make_reply(tree, enrol.build_request(token, KEYS, TLS_KEYS, "station"))
    district, root = good.parents
    other = NodeKeys.generate()
    replaced = msgspec.structs.replace
    lines: list[tuple[NodeInfo, ...]] = [
        (),
        (root,),
        (root, district),
        (district,),
        (district, node_info(other, None, 0)),
        (district, replaced(root, ed25519_public=other.ed25519_public)),
        (replaced(district, depth=2), root),
        (district, replaced(root, parent_id=other.node_id)),
        (district, replaced(root, name="\x07")),
        (district, replaced(root, x25519_public=bytes(32))),
        (district,) * 33,
    ]
    for line in lines:
        with pytest.raises(TrustError):
            enrol.check_reply(replaced(good, parents=line), token, KEYS, TLS_KEYS, tree.ca_pem)


@pytest.mark.parametrize(
    "changes",
    [
        {"root_id": KEYS.node_id},
        {"recovery_public": b"short"},
        {"unit_id": "00004"},
        {"unit_code": "x" * 33},
        {"unit_name": "\n"},
        {"term": -1},
        {"issuer_pem": "x"},
        {"certificate_pem": "x"},
    ],
)
def test_any_unsound_field_of_a_reply_is_refused(tree: Tree, token: Token, changes: dict[str, object]) -> None:
    reply = make_reply(tree, enrol.build_request(token, KEYS, TLS_KEYS, "station"))
    with pytest.raises(TrustError):
        enrol.check_reply(msgspec.structs.replace(reply, **changes), token, KEYS, TLS_KEYS, tree.ca_pem)


def test_certificate_of_another_node_or_tree_is_refused(tree: Tree, token: Token) -> None:
    request = enrol.build_request(token, KEYS, TLS_KEYS, "station")
    reply = make_reply(tree, request)
    with pytest.raises(WrongPeer, match="do not lead"):
        enrol.check_reply(make_reply(make_tree(), request), token, KEYS, TLS_KEYS, tree.ca_pem)
    with pytest.raises(WrongPeer, match="another key"):
        enrol.check_reply(reply, token, KEYS, HUB_KEYS, tree.ca_pem)
    other = NodeKeys.generate()
    renamed = authority.make_request(TLS_KEYS.node, other.node_id)
    pem = authority.issue(tree.district_issuer, renamed, other.node_id, NOW_S)
    with pytest.raises(JoinRefused, match="another node's certificate"):
        enrol.check_reply(msgspec.structs.replace(reply, certificate_pem=pem), token, KEYS, TLS_KEYS, tree.ca_pem)


def test_unreadable_or_oversized_messages_are_refused() -> None:
    for body in (b"", b"\xc1", msgspec.msgpack.encode([1, 2, 3]), msgspec.msgpack.encode({}), bytes(300_000)):
        for decode in (enrol.decode_request, enrol.decode_reply):
            with pytest.raises(JoinRefused):
                decode(body)


def test_secret_is_in_no_repr_and_each_error_has_a_hint(token: Token) -> None:
    request = enrol.build_request(token, KEYS, TLS_KEYS, "s")
    assert "secret" not in repr(request)
    with pytest.raises(SyncdError) as caught:
        enrol.decode_request(b"")
    assert caught.value.hint in str(caught.value)
