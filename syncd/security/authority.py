"""Certificates: the root authority, the issuing certificates of hubs below it, the TLS certificates of nodes.

What enters: a signing request made on the node that holds the key, and the node id its parent has enrolled. What
leaves: PEM chains (leaf first, the root left out: everybody has it pinned), and the node id a peer's certificate
proves.
What must hold: private keys never leave the node they were born on; a certificate says a node id only when an issuer
was told to; an issuing certificate is never taken for a node's. Only init, join, renewal and hubs import this file:
x509 costs 50 ms and 8 MB.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from syncd.errors import Altered, JoinRefused, KeyFileError, TrustError, WrongPeer
from syncd.language import say
from syncd.limits import TREE_DEPTH_MAX
from syncd.protocol.decoding import decoding
from syncd.security import names
from syncd.security.identity import require_node_id_text
from syncd.security.keyfile import refuse_overwrite
from syncd.security.limits import (
    CERTIFICATE_BACKDATE_S,
    CERTIFICATE_BYTES_MAX,
    ISSUER_CERTIFICATE_DAYS,
    KEY_FILE_BYTES_MAX,
    NODE_CERTIFICATE_DAYS,
    NODE_CERTIFICATE_DAYS_MAX,
    PEM_BYTES_MAX,
    REQUEST_BYTES_MAX,
    ROOT_CERTIFICATE_DAYS,
)
from syncd.security.names import NODE_URI_PREFIX, ROOT_CERTIFICATE_FILE, tls_name
from syncd.system import (
    make_secret_directory,
    read_secret_file,
    translate_os_error,
    write_public_file,
    write_secret_file,
)

ROOT_KEY_FILE, ISSUER_KEY_FILE = names.ROOT_KEY_FILE, names.ISSUER_KEY_FILE
ISSUER_CHAIN_FILE = names.ISSUER_CHAIN_FILE

_PEER_CACHE_ENTRIES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Something that issues: the root, or a hub's issuing certificate. `above`: issuers between it and the root, root
    left out.
    """

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...] = ()

    @classmethod
    def from_chain(cls, key: ec.EllipticCurvePrivateKey, chain_pem: str) -> Self:
        """The issuer whose chain (own certificate first) a parent sent; refuses a chain made for another key."""
        certificate, *above = parse_chain(chain_pem)
        if certificate.public_key() != key.public_key():
            raise KeyFileError(
                say("chứng thư cấp phát thuộc về khóa khác", "the issuing certificate belongs to another key"),
                say(
                    "đặt issuer.key và issuer.crt của cùng một lần gia nhập",
                    "put issuer.key and issuer.crt of one join together",
                ),
            )
        return cls(key=key, certificate=certificate, above=tuple(above))

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What a peer that holds only the root needs besides a certificate issued here."""
        is_root = self.certificate.subject == self.certificate.issuer
        return () if is_root else (self.certificate, *self.above)

    @property
    def certificate_pem(self) -> str:
        return _pem((self.certificate,))


def create_root(node_id: str, now_s: int, valid_days: int = ROOT_CERTIFICATE_DAYS) -> Authority:
    """A new root authority. `now_s`: unix seconds."""
    key = generate_tls_key()
    name = _name(f"syncd root {require_node_id_text(node_id)}")
    begin, end = _begin(now_s), _instant(now_s) + timedelta(days=valid_days)
    builder = _builder(name, name, key.public_key(), begin, end).add_extension(
        _key_identifier(key.public_key()), critical=False
    )
    return Authority(key=key, certificate=_as_issuer(builder).sign(key, hashes.SHA256()))


def generate_tls_key() -> ec.EllipticCurvePrivateKey:
    """ECDSA P-256: what every TLS stack of the last fifteen years speaks."""
    return ec.generate_private_key(ec.SECP256R1())


def make_request(key: ec.EllipticCurvePrivateKey, node_id: str) -> bytes:
    """A signing request (DER) for a key born here: its subject is the node id, its signature proves that we hold the
    key.
    """
    name = _name(require_node_id_text(node_id))
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def issue(issuer: Authority, request: bytes, node_id: str, now_s: int, valid_days: int = NODE_CERTIFICATE_DAYS) -> str:
    """The TLS certificate chain (PEM) of an enrolled node, for `<node_id>.syncd.internal`, client and server."""
    public = _requested_key(request, node_id)
    if not 1 <= valid_days <= NODE_CERTIFICATE_DAYS_MAX:
        raise TrustError(
            say("chứng thư {days} ngày", "a certificate for {days} days", days=valid_days),
            say("chọn từ 1 đến {most} ngày", "choose 1 to {most} days", most=NODE_CERTIFICATE_DAYS_MAX),
        )
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(NODE_URI_PREFIX + node_id), x509.DNSName(tls_name(node_id))]
    )
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    builder = (
        _issued(issuer, _name(node_id), public, now_s, valid_days)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(usages, critical=False)
    )
    return _pem((builder.sign(issuer.key, hashes.SHA256()), *issuer.chain))


def issue_hub(
    issuer: Authority, request: bytes, node_id: str, now_s: int, valid_days: int = ISSUER_CERTIFICATE_DAYS
) -> str:
    """The issuing certificate chain (PEM) of a node that has children of its own; at any depth of the tree."""
    public = _requested_key(request, node_id)
    builder = _issued(issuer, _name(f"syncd issuer {node_id}"), public, now_s, valid_days)
    return _pem((_as_issuer(builder).sign(issuer.key, hashes.SHA256()), *issuer.chain))


@lru_cache(maxsize=_PEER_CACHE_ENTRIES)
def node_id_of(der: bytes) -> str:
    """The node id a node's certificate proves, once TLS has verified its chain. `WrongPeer` for any other
    certificate.
    """
    certificate = _parse_certificate(der)
    try:
        with decoding("a certificate's extensions", ""):
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Altered as error:
        raise _no_node_certificate(
            say("thiếu các phần mở rộng của chứng thư máy", "it lacks the extensions of one")
        ) from error
    if constraints.ca:
        raise _no_node_certificate(say("đây là chứng thư cấp phát", "it is an issuing certificate"))
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or not uris[0].startswith(NODE_URI_PREFIX):
        raise _no_node_certificate(say("không nêu đúng một máy", "it does not name exactly one node"))
    return require_node_id_text(uris[0].removeprefix(NODE_URI_PREFIX))


def fingerprint(der: bytes) -> bytes:
    """SHA-256 of the whole certificate: what enrolment records and a token pins."""
    return sha256(der).digest()


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def require_issued_by(der: bytes, issuers: Sequence[x509.Certificate]) -> None:
    """Refuse a child whose certificate none of OUR issuing certificates signed.

    TLS accepts whatever ends at the root; without this a district could issue a certificate for a commune of another
    district.
    """
    certificate = _parse_certificate(der)
    if not any(_is_issued_by(certificate, issuer) for issuer in issuers):
        raise WrongPeer(
            say("chứng thư do máy khác cấp", "the certificate was issued by another node's authority"),
            say("máy này phải gia nhập tại đúng cấp trên của nó", "this node has to join at its own parent"),
        )


def require_chain(chain_pem: str, ca_pem: str, key: ec.EllipticCurvePrivateKey) -> tuple[x509.Certificate, ...]:
    """The chain a parent sent, when it is for `key` and leads, certificate by certificate, to the pinned root; else
    `WrongPeer`.
    """
    chain = parse_chain(chain_pem)
    if chain[0].public_key() != key.public_key():
        raise WrongPeer(
            say(
                "chứng thư gửi tới dành cho khóa khác, không phải khóa của máy này",
                "the certificate sent is for another key than ours",
            ),
            say("xin cấp trên mã mới rồi gia nhập lại", "ask the parent for a new token and join again"),
        )
    for below, above in zip(chain, (*chain[1:], *parse_chain(ca_pem)), strict=True):
        if not _is_issued_by(below, above):
            raise WrongPeer(
                say(
                    "các chứng thư gửi tới không dẫn tới gốc đã ghim",
                    "the certificates sent do not lead to the pinned root",
                ),
                say("xin cấp trên mã mới rồi gia nhập lại", "ask the parent for a new token and join again"),
            )
    return chain


def parse_chain(chain_pem: str) -> tuple[x509.Certificate, ...]:
    """At least one certificate, at most as many as the tree may be deep."""
    if len(chain_pem) > PEM_BYTES_MAX:
        raise WrongPeer(
            say("chuỗi chứng thư dài {chars} ký tự", "a certificate chain of {chars} characters", chars=len(chain_pem)),
            say(
                "kiểm tra tệp hoặc trả lời có đúng của máy này không", "check that the file or reply is the node's own"
            ),
        )
    with decoding(
        say("không đọc được chuỗi chứng thư", "a certificate chain cannot be read"),
        say("kiểm tra tệp hoặc trả lời có đúng của máy này không", "check that the file or reply is the node's own"),
        WrongPeer,
    ):
        chain = tuple(x509.load_pem_x509_certificates(chain_pem.encode("utf-8")))
    if len(chain) > TREE_DEPTH_MAX:
        raise WrongPeer(
            say("chuỗi gồm {count} chứng thư", "a chain of {count} certificates", count=len(chain)),
            say("cây sâu tối đa {most} máy", "a tree is at most {most} nodes deep", most=TREE_DEPTH_MAX),
        )
    return chain


def save_root(authority: Authority, directory: Path) -> None:
    """ca.key (may be moved offline once the root's own issuer exists) and ca.crt."""
    _save(authority.key, directory / ROOT_KEY_FILE)
    write_public_file(directory / ROOT_CERTIFICATE_FILE, authority.certificate_pem.encode("ascii"))


def load_root(directory: Path) -> Authority:
    return Authority.from_chain(load_tls_key(directory / ROOT_KEY_FILE), _read_pem(directory / ROOT_CERTIFICATE_FILE))


def save_issuer(authority: Authority, directory: Path) -> None:
    """issuer.key and issuer.crt (own certificate first, then those above it)."""
    _save(authority.key, directory / ISSUER_KEY_FILE)
    write_public_file(directory / ISSUER_CHAIN_FILE, _pem((authority.certificate, *authority.above)).encode("ascii"))


def load_issuer(directory: Path) -> Authority:
    return Authority.from_chain(load_tls_key(directory / ISSUER_KEY_FILE), _read_pem(directory / ISSUER_CHAIN_FILE))


def save_tls_key(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    """In the clear but for this account alone: a restart after a power cut needs nobody."""
    make_secret_directory(path.parent)
    form = serialization.PrivateFormat.PKCS8
    write_secret_file(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


def load_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The ECDSA P-256 key in `path`; raises `KeyFileError` for anything else."""
    hint = say("đặt lại đúng tệp của máy này từ bản sao lưu", "put this node's own file back from its backup")
    try:
        key = serialization.load_pem_private_key(read_secret_file(path, KEY_FILE_BYTES_MAX), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            say("{path} không phải khóa riêng dạng PEM", "{path} is not a private key in PEM form", path=path), hint
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError(
            say("{path} không phải khóa ECDSA P-256", "{path} is not an ECDSA P-256 key", path=path), hint
        )
    return key


def _save(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    refuse_overwrite(path)
    save_tls_key(key, path)


def _read_pem(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise KeyFileError(
            say("thiếu tệp {path}", "{path} is missing", path=path),
            say("đặt lại đúng tệp của máy này từ bản sao lưu", "put this node's own file back from its backup"),
        ) from error
    except OSError as error:
        raise translate_os_error(error, say("không đọc được {path}", "cannot read {path}", path=path)) from error
    except ValueError as error:
        raise KeyFileError(
            say("{path} không phải chứng thư dạng PEM", "{path} is not a certificate in PEM form", path=path),
            say("đặt lại đúng tệp của máy này từ bản sao lưu", "put this node's own file back"),
        ) from error


def _requested_key(request: bytes, node_id: str) -> ec.EllipticCurvePublicKey:
    """The public key of a request, once size, kind, signature and subject hold. The refusal is sent: English."""
    hint = "let the station make its request again with this version of syncd"
    require_node_id_text(node_id)
    if len(request) > REQUEST_BYTES_MAX:
        raise JoinRefused(f"a signing request of {len(request)} bytes", hint)
    with decoding("the signing request cannot be read", hint, JoinRefused):
        parsed = x509.load_der_x509_csr(request)
        public = parsed.public_key()
        signed = parsed.is_signature_valid
        subject = parsed.subject
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise JoinRefused("the signing request is for a key that is not ECDSA P-256", hint)
    if not signed:
        raise JoinRefused("the signing request is not signed by its own key", hint)
    if subject != _name(node_id):
        raise JoinRefused(f"the signing request names another node than {node_id}", hint)
    return public


def _issued(
    issuer: Authority, subject: x509.Name, public: ec.EllipticCurvePublicKey, now_s: int, valid_days: int
) -> x509.CertificateBuilder:
    """What every certificate below the root has. It never outlives its issuer: a chain is as good as its shortest
    part.
    """
    last = issuer.certificate.not_valid_after_utc
    if _instant(now_s) >= last:
        raise TrustError(
            say(
                "chứng thư cấp phát đã hết hạn ngày {last:%Y-%m-%d}",
                "the issuing certificate ended on {last:%Y-%m-%d}",
                last=last,
            ),
            say("gia hạn tại cấp trên, hoặc chỉnh lại đồng hồ", "renew it at the parent, or correct this clock"),
        )
    end = min(_instant(now_s) + timedelta(days=valid_days), last)
    begin = max(_begin(now_s), issuer.certificate.not_valid_before_utc)
    return _builder(subject, issuer.certificate.subject, public, begin, end).add_extension(
        _key_identifier(issuer.key.public_key()), critical=False
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _as_issuer(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).add_extension(
        _key_usage(signs_certificates=True), critical=True
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_identifier(issuer_public: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public)


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        with decoding("a certificate", ""):
            certificate.verify_directly_issued_by(issuer)
            return issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except Altered:
        return False


def _parse_certificate(der: bytes) -> x509.Certificate:
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise _no_node_certificate(say("dài {size} byte", "it has {size} bytes", size=len(der)))
    try:
        with decoding("a certificate", ""):
            return x509.load_der_x509_certificate(der)
    except Altered as error:
        raise _no_node_certificate(say("không đọc được", "it cannot be read")) from error


def _no_node_certificate(why: str) -> WrongPeer:
    return WrongPeer(
        say("đây không phải chứng thư của một máy: {why}", "the certificate is not a node's: {why}", why=why),
        say("bên kia phải đưa chứng thư nhận lúc gia nhập", "the peer has to present the certificate it got at join"),
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode("ascii") for each in certificates)


def _instant(now_s: int) -> datetime:
    return datetime.fromtimestamp(now_s, tz=UTC)


def _begin(now_s: int) -> datetime:
    return _instant(now_s - CERTIFICATE_BACKDATE_S)
