"""Real handshakes: only certificates of our tree, only the node that was meant, only within their time."""

import ssl
from pathlib import Path

import pytest

from syncd.errors import KeyFileError, ParentUnreachable, SyncdError, WrongPeer
from syncd.security import authority, tls
from syncd.security.identity import NodeKeys
from syncd.security.names import tls_name
from syncd.security.tls import TlsFiles
from tests.unit.security.builders import DAY_S, NOW_S, Tree, handshake, make_files, make_tree

PARENT_ID = NodeKeys.generate().node_id
CHILD_ID = NodeKeys.generate().node_id
PLACE = "https://10.1.2.3:8443"


@pytest.fixture(scope="module")
def tree() -> Tree:
    return make_tree()


@pytest.fixture
def parent(tree: Tree, tmp_path: Path) -> TlsFiles:
    return make_files(tmp_path / "parent", tree.root_issuer, tree.ca_pem, PARENT_ID)


@pytest.fixture
def child(tree: Tree, tmp_path: Path) -> TlsFiles:
    return make_files(tmp_path / "child", tree.district_issuer, tree.ca_pem, CHILD_ID)


def explained(error: ssl.SSLError | None) -> SyncdError:
    if error is None:
        pytest.fail("the handshake went through")
    return tls.explain(error, PLACE)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_parent_and_child_prove_their_node_ids(parent: TlsFiles, child: TlsFiles, version: ssl.TLSVersion) -> None:
    client = tls.client_context(child)
    client.maximum_version = version
    shaken = handshake(client, tls.server_context(parent), tls_name(PARENT_ID))
    assert (shaken.client_error, shaken.server_error) == (None, None)
    assert authority.node_id_of(shaken.client_certificate or b"") == CHILD_ID
    assert authority.node_id_of(shaken.server_certificate or b"") == PARENT_ID


def test_station_without_certificate_reaches_the_join_routes(tree: Tree, parent: TlsFiles) -> None:
    shaken = handshake(tls.join_context(tree.ca_pem), tls.server_context(parent), tls_name(PARENT_ID))
    assert (shaken.client_error, shaken.server_error) == (None, None)
    assert shaken.client_certificate is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_foreign_client_certificate_is_refused(
    tree: Tree, parent: TlsFiles, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    foreign = make_files(tmp_path / "foreign", make_tree().root_issuer, tree.ca_pem, CHILD_ID)
    client = tls.client_context(foreign)
    client.maximum_version = version
    shaken = handshake(client, tls.server_context(parent), tls_name(PARENT_ID))
    assert isinstance(shaken.server_error, ssl.SSLCertVerificationError)
    refused = explained(shaken.client_error)
    assert isinstance(refused, WrongPeer)
    assert "refuses our certificate" in refused.message


def test_foreign_server_certificate_is_refused(tree: Tree, child: TlsFiles, tmp_path: Path) -> None:
    foreign_tree = make_tree()
    foreign = make_files(tmp_path / "foreign", foreign_tree.root_issuer, foreign_tree.ca_pem, PARENT_ID)
    for client in (tls.client_context(child), tls.join_context(tree.ca_pem)):
        shaken = handshake(client, tls.server_context(foreign), tls_name(PARENT_ID))
        refused = explained(shaken.client_error)
        assert isinstance(refused, WrongPeer)
        assert "does not lead to our root" in refused.message


def test_other_node_of_the_same_tree_is_not_the_parent(parent: TlsFiles, child: TlsFiles) -> None:
    shaken = handshake(tls.client_context(child), tls.server_context(parent), tls_name(CHILD_ID))
    refused = explained(shaken.client_error)
    assert isinstance(refused, WrongPeer)
    assert "another node" in refused.message


def test_expired_and_future_certificates_are_refused_with_the_remedy(
    tree: Tree, child: TlsFiles, tmp_path: Path
) -> None:
    past_tree = make_tree(NOW_S - 400 * DAY_S)
    for name, now_s, word in (("old", NOW_S - 400 * DAY_S, "expired"), ("new", NOW_S + 10 * DAY_S, "not valid yet")):
        files = make_files(tmp_path / name, past_tree.root_issuer, past_tree.ca_pem, PARENT_ID, now_s)
        good = make_files(tmp_path / f"good-{name}", past_tree.root_issuer, past_tree.ca_pem, CHILD_ID)
        refused = explained(
            handshake(tls.client_context(good), tls.server_context(files), tls_name(PARENT_ID)).client_error
        )
        assert isinstance(refused, WrongPeer)
        assert word in refused.message
        assert "clock" in refused.hint
        as_client = handshake(tls.client_context(files), tls.server_context(good), tls_name(CHILD_ID))
        assert isinstance(as_client.server_error, ssl.SSLCertVerificationError)
        assert isinstance(explained(as_client.client_error), WrongPeer)


def test_damaged_key_is_told_with_a_reason(child: TlsFiles) -> None:
    child.key.write_bytes(b"x" * 100)
    with pytest.raises(KeyFileError) as caught:
        tls.client_context(child)
    assert child.key.name in caught.value.message
    assert "None" not in caught.value.message


def test_node_certificate_that_issues_is_refused(tree: Tree, child: TlsFiles, tmp_path: Path) -> None:
    key = authority.generate_tls_key()
    own = authority.issue(tree.root_issuer, authority.make_request(key, CHILD_ID), CHILD_ID, NOW_S)
    pretended = authority.Authority.from_chain(key, own)
    files = make_files(tmp_path / "pretended", pretended, tree.ca_pem, PARENT_ID)
    shaken = handshake(tls.client_context(child), tls.server_context(files), tls_name(PARENT_ID))
    assert isinstance(shaken.client_error, ssl.SSLCertVerificationError)


def test_contexts_trust_the_pinned_root_alone(tree: Tree, parent: TlsFiles, child: TlsFiles) -> None:
    for context in (tls.server_context(parent), tls.client_context(child), tls.join_context(tree.ca_pem)):
        trusted = context.get_ca_certs(binary_form=True)
        assert trusted == [authority.der_of(tree.root.certificate)]
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.keylog_filename is None


def test_probe_shows_the_root_to_be_judged_but_knows_nobody(parent: TlsFiles) -> None:
    context = tls.probe_context()
    assert context.get_ca_certs() == []
    assert handshake(context, tls.server_context(parent), tls_name(PARENT_ID)).client_error is None


def test_reload_serves_the_renewed_certificate(tree: Tree, parent: TlsFiles, child: TlsFiles) -> None:
    server, client = tls.server_context(parent), tls.client_context(child)
    before = handshake(client, server, tls_name(PARENT_ID)).server_certificate
    make_files(parent.key.parent, tree.district_issuer, tree.ca_pem, PARENT_ID)
    make_files(child.key.parent, tree.district_issuer, tree.ca_pem, CHILD_ID)
    tls.reload(server, parent)
    tls.reload(client, child)
    after = handshake(client, server, tls_name(PARENT_ID))
    assert after.client_error is None
    assert after.server_certificate != before
    assert authority.node_id_of(after.client_certificate or b"") == CHILD_ID


def test_failed_reload_keeps_the_old_certificate(tree: Tree, parent: TlsFiles, child: TlsFiles) -> None:
    server, client = tls.server_context(parent), tls.client_context(child)
    parent.chain.write_bytes(child.chain.read_bytes())
    with pytest.raises(KeyFileError, match="do not belong together"):
        tls.reload(server, parent)
    assert handshake(client, server, tls_name(PARENT_ID)).client_error is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_connection_resumes_an_older_proof(parent: TlsFiles, child: TlsFiles, version: ssl.TLSVersion) -> None:
    server, client = tls.server_context(parent), tls.client_context(child)
    client.maximum_version = version
    first = handshake(client, server, tls_name(PARENT_ID))
    assert first.client_error is None
    assert not handshake(client, server, tls_name(PARENT_ID), first.session).resumed


@pytest.mark.parametrize("name", ["chain", "ca", "key"])
@pytest.mark.parametrize("content", [None, b"", b"junk", b"\xff\xfe"])
def test_missing_or_damaged_file_is_named(child: TlsFiles, name: str, content: bytes | None) -> None:
    path: Path = getattr(child, name)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(KeyFileError) as caught:
        tls.client_context(child)
    assert caught.value.hint
    if content is None:
        assert path.name in caught.value.message


def test_broken_line_is_temporary() -> None:
    from_parent, to_parent = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = tls.probe_context().wrap_bio(from_parent, to_parent, server_hostname="x")
    from_parent.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ssl.SSLError) as caught:
        end.do_handshake()
    for error in (caught.value, ssl.SSLError(1, "raised by a library")):
        assert isinstance(tls.explain(error, PLACE), ParentUnreachable)
