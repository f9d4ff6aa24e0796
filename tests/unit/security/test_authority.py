"""Certificates are issued for sound requests only, and prove a node id only when they should."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from syncd.errors import JoinRefused, KeyFileError, TrustError, WrongPeer
from syncd.security import authority
from syncd.security.identity import NodeKeys
from syncd.security.names import tls_name
from tests.unit.security.builders import DAY_S, NOW_S, Tree, make_issuer, make_tree

NODE_ID = NodeKeys.generate().node_id


@pytest.fixture(scope="module")
def tree() -> Tree:
    return make_tree()


def request_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NODE_ID)])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, algorithm)
    return request.public_bytes(serialization.Encoding.DER)


def first_of(chain_pem: str) -> x509.Certificate:
    return authority.parse_chain(chain_pem)[0]


def test_node_certificate_names_its_node_and_nothing_else(tree: Tree) -> None:
    key = authority.generate_tls_key()
    chain = authority.issue(tree.district_issuer, authority.make_request(key, NODE_ID), NODE_ID, NOW_S)
    leaf = first_of(chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [tls_name(NODE_ID)]
    assert authority.node_id_of(authority.der_of(leaf)) == NODE_ID
    assert len(authority.parse_chain(chain)) == 3
    assert authority.require_chain(chain, tree.ca_pem, key)[0] == leaf


def test_chain_holds_at_any_depth(tree: Tree) -> None:
    issuer = tree.root_issuer
    for _ in range(6):
        issuer = make_issuer(issuer, NodeKeys.generate().node_id)
    key = authority.generate_tls_key()
    chain = authority.issue(issuer, authority.make_request(key, NODE_ID), NODE_ID, NOW_S)
    assert len(authority.require_chain(chain, tree.ca_pem, key)) == 8


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),
        rsa.generate_private_key(65537, 3072),
        ec.generate_private_key(ec.SECP192R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["rsa-1024", "rsa-3072", "p-192", "p-384", "ed25519"],
)
def test_request_with_another_kind_of_key_is_refused(
    tree: Tree, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
) -> None:
    for issue in (authority.issue, authority.issue_hub):
        with pytest.raises(JoinRefused, match=r"not ECDSA P-256|cannot be read"):
            issue(tree.root_issuer, request_of(key), NODE_ID, NOW_S)


def test_request_with_a_broken_signature_or_other_name_is_refused(tree: Tree) -> None:
    request = authority.make_request(authority.generate_tls_key(), NODE_ID)
    altered = request.replace(NODE_ID.encode("ascii"), NodeKeys.generate().node_id.encode("ascii"))
    with pytest.raises(JoinRefused, match="not signed"):
        authority.issue(tree.root_issuer, altered, NODE_ID, NOW_S)
    with pytest.raises(JoinRefused, match="another node"):
        authority.issue(tree.root_issuer, request, NodeKeys.generate().node_id, NOW_S)
    for junk in (b"", b"\x30\x80", request[:-1], bytes(5000)):
        with pytest.raises(JoinRefused):
            authority.issue(tree.root_issuer, junk, NODE_ID, NOW_S)


def test_certificate_never_outlives_its_issuer_nor_its_bound() -> None:
    tree = make_tree(NOW_S - 9 * 365 * DAY_S)
    request = authority.make_request(authority.generate_tls_key(), NODE_ID)
    leaf = first_of(authority.issue(tree.root_issuer, request, NODE_ID, NOW_S, 730))
    assert leaf.not_valid_after_utc == tree.root_issuer.certificate.not_valid_after_utc
    with pytest.raises(TrustError, match="days"):
        authority.issue(tree.root_issuer, request, NODE_ID, NOW_S, 100_000)
    with pytest.raises(TrustError, match="ended on"):
        authority.issue(tree.root_issuer, request, NODE_ID, NOW_S + 2 * 365 * DAY_S)


def test_issuing_certificate_is_no_nodes_certificate(tree: Tree) -> None:
    for certificate in (tree.root.certificate, tree.root_issuer.certificate):
        with pytest.raises(WrongPeer, match="not a node's"):
            authority.node_id_of(authority.der_of(certificate))
    key, issuer = authority.generate_tls_key(), tree.root_issuer
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:syncd:node:{NODE_ID}")])
    builder = authority._as_issuer(authority._issued(issuer, authority._name(NODE_ID), key.public_key(), NOW_S, 1))
    posing = builder.add_extension(uri, critical=False).sign(issuer.key, hashes.SHA256())
    with pytest.raises(WrongPeer, match="issuing certificate"):
        authority.node_id_of(authority.der_of(posing))
    for junk in (b"", b"junk", bytes(10_000)):
        with pytest.raises(WrongPeer):
            authority.node_id_of(junk)


def test_child_of_another_parent_is_refused(tree: Tree) -> None:
    request = authority.make_request(authority.generate_tls_key(), NODE_ID)
    der = authority.der_of(first_of(authority.issue(tree.district_issuer, request, NODE_ID, NOW_S)))
    authority.require_issued_by(der, [tree.root_issuer.certificate, tree.district_issuer.certificate])
    with pytest.raises(WrongPeer, match="another node's authority"):
        authority.require_issued_by(der, [tree.root_issuer.certificate])


def test_chain_for_another_key_or_from_another_root_is_refused(tree: Tree) -> None:
    key = authority.generate_tls_key()
    chain = authority.issue(tree.district_issuer, authority.make_request(key, NODE_ID), NODE_ID, NOW_S)
    with pytest.raises(WrongPeer, match="another key"):
        authority.require_chain(chain, tree.ca_pem, authority.generate_tls_key())
    with pytest.raises(WrongPeer, match="do not lead"):
        authority.require_chain(chain, make_tree().ca_pem, key)
    without_middle = "".join(
        part + "-----END CERTIFICATE-----\n" for part in chain.split("-----END CERTIFICATE-----\n")[:2]
    )
    with pytest.raises(WrongPeer, match="do not lead"):
        authority.require_chain(without_middle, tree.ca_pem, key)
    for junk in ("", "junk", "x" * 70_000, tree.ca_pem * 33):
        with pytest.raises(WrongPeer):
            authority.require_chain(junk, tree.ca_pem, key)


def test_node_certificate_cannot_issue(tree: Tree) -> None:
    key = authority.generate_tls_key()
    own = authority.issue(tree.root_issuer, authority.make_request(key, NODE_ID), NODE_ID, NOW_S)
    pretended = authority.Authority.from_chain(key, own)
    victim_key = authority.generate_tls_key()
    chain = authority.issue(pretended, authority.make_request(victim_key, NODE_ID), NODE_ID, NOW_S)
    with pytest.raises(WrongPeer, match="do not lead"):
        authority.require_chain(chain, tree.ca_pem, victim_key)


def test_authorities_round_trip_through_files(tree: Tree, tmp_path: Path) -> None:
    authority.save_root(tree.root, tmp_path)
    authority.save_issuer(tree.district_issuer, tmp_path)
    assert authority.load_root(tmp_path).certificate == tree.root.certificate
    assert authority.load_issuer(tmp_path).chain == tree.district_issuer.chain
    with pytest.raises(KeyFileError, match="exists already"):
        authority.save_root(tree.root, tmp_path)


def test_root_key_may_lie_offline_and_a_wrong_one_is_refused(tree: Tree, tmp_path: Path) -> None:
    authority.save_root(tree.root, tmp_path)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(KeyFileError, match=r"ca\.key is missing"):
        authority.load_root(tmp_path)
    authority.save_tls_key(authority.generate_tls_key(), tmp_path / "ca.key")
    with pytest.raises(KeyFileError, match="another key"):
        authority.load_root(tmp_path)
    NodeKeys.generate().save(tmp_path / "other")
    for content in ((tmp_path / "other" / "signing.key").read_bytes(), b"junk"):
        (tmp_path / "ca.key").write_bytes(content)
        with pytest.raises(KeyFileError, match=r"ca\.key"):
            authority.load_root(tmp_path)


def test_missing_or_damaged_certificate_file_is_named(tree: Tree, tmp_path: Path) -> None:
    authority.save_issuer(tree.district_issuer, tmp_path)
    (tmp_path / "issuer.crt").write_bytes(b"\xff")
    with pytest.raises(KeyFileError, match=r"issuer\.crt is not a certificate"):
        authority.load_issuer(tmp_path)
    (tmp_path / "issuer.crt").unlink()
    with pytest.raises(KeyFileError, match=r"issuer\.crt is missing"):
        authority.load_issuer(tmp_path)


def test_certificate_that_names_no_node_or_two_is_refused(tree: Tree) -> None:
    key = authority.generate_tls_key()
    issuer = tree.root_issuer
    uris = [x509.UniformResourceIdentifier(f"urn:syncd:node:{NODE_ID}")] * 2
    plain = authority._issued(issuer, authority._name(NODE_ID), key.public_key(), NOW_S, 1)
    named = plain.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    for builder in (plain, named, named.add_extension(x509.SubjectAlternativeName(uris), critical=False)):
        with pytest.raises(WrongPeer, match="not a node's"):
            authority.node_id_of(authority.der_of(builder.sign(issuer.key, hashes.SHA256())))
