"""TLS contexts. What enters: the paths of the node's certificate files. What leaves: contexts that trust the pinned
root and nothing else.

What must hold: the system's trust store and environment are never asked; a client checks the parent's *name*, which
is its node id; a server refuses a foreign certificate in the handshake and lets an absent one in, because the join
routes need that: every other route is closed by the application (`node_id_of`, `require_issued_by`). One context
lives as long as its server; `reload` renews in it.
"""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from syncd.errors import KeyFileError, ParentUnreachable, SyncdError, WrongPeer
from syncd.language import say
from syncd.security.names import ROOT_CERTIFICATE_FILE, TLS_CHAIN_FILE, TLS_KEY_FILE
from syncd.system import check_secret_file

# X.509 verification codes of OpenSSL (x509_vfy.h) that a remedy follows from.
_NOT_YET_VALID = 9
_EXPIRED = 10
_NAME_MISMATCH = 62


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Paths: own chain (leaf first), own key, the pinned root."""

    chain: Path
    key: Path
    ca: Path

    @classmethod
    def in_directory(cls, directory: Path) -> Self:
        return cls(chain=directory / TLS_CHAIN_FILE, key=directory / TLS_KEY_FILE, ca=directory / ROOT_CERTIFICATE_FILE)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """For a node that has children. A client certificate is optional here, but one that is shown must lead to the
    root.
    """
    context = _pinned(ssl.PROTOCOL_TLS_SERVER, _read_ca(files.ca))
    context.verify_mode = ssl.CERT_OPTIONAL
    # A resumed session would carry a certificate that has expired since: every connection proves itself anew.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    _load(context, files)
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For talking to the parent: use `tls_name(parent_id)` as the server name."""
    context = _pinned(ssl.PROTOCOL_TLS_CLIENT, _read_ca(files.ca))
    _load(context, files)
    return context


def join_context(ca_pem: str) -> ssl.SSLContext:
    """For join, before there is a certificate: the root has been compared with the token's fingerprint
    (`require_ca`).
    """
    return _pinned(ssl.PROTOCOL_TLS_CLIENT, ca_pem)


def probe_context() -> ssl.SSLContext:
    """For one request only: fetching the root certificate that `require_ca` then judges. Nothing secret may be sent
    through it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def reload(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Renewed certificate files into a context in use: tried in a scratch context first, so a bad file changes
    nothing.
    """
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files)
    _load(context, files)


def explain(error: ssl.SSLError, place: str) -> SyncdError:
    """What a failed handshake means to an operator. `place`: whom we called, e.g. `https://…:8443 (node …)`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error, place)
    # Only errors made by OpenSSL carry a reason; one raised by a library above it has none.
    reason = getattr(error, "reason", None) or "no reason given"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return WrongPeer(
            say(
                "{place} từ chối chứng thư của máy này ({reason})",
                "{place} refuses our certificate ({reason})",
                place=place,
                reason=reason,
            ),
            say(
                "gia hạn (với mã mới: [[syncd join MÃ_GIA_NHẬP]]) và kiểm tra đồng hồ",
                "renew it (with a new token: [[syncd join TOKEN]]), and check the clock",
            ),
        )
    return ParentUnreachable(
        say(
            "kết nối TLS tới {place} bị đứt ({reason})",
            "the TLS connection to {place} broke ({reason})",
            place=place,
            reason=reason,
        ),
        say("sẽ tự thử lại; kiểm tra đường truyền và địa chỉ", "retried by itself; check the line and the address"),
    )


def _explain_certificate(error: ssl.SSLCertVerificationError, place: str) -> WrongPeer:
    if error.verify_code == _NOT_YET_VALID:
        return WrongPeer(
            say("chứng thư của {place} chưa có hiệu lực", "the certificate of {place} is not valid yet", place=place),
            say(
                "so đồng hồ máy này ({now}) với giờ đúng: chậm thì chỉnh lại; nếu đúng thì máy kia được tạo khi đồng hồ"
                " của nó chạy nhanh (chạy ở đó: syncd status --check)",
                "compare this computer's clock ({now}) with the true time: behind? set it; right? then the other was"
                " made while its own clock was ahead (there: syncd status --check)",
                now=_now(),
            ),
        )
    if error.verify_code == _EXPIRED:
        return WrongPeer(
            say("chứng thư của {place} đã hết hạn", "the certificate of {place} has expired", place=place),
            say(
                "so đồng hồ máy này ({now}) với giờ đúng: nhanh thì chỉnh lại; nếu đúng thì gia hạn ở đó",
                "compare this computer's clock ({now}) with the true time: ahead? set it; right? then renew it there",
                now=_now(),
            ),
        )
    if error.verify_code == _NAME_MISMATCH:
        return WrongPeer(
            say(
                "{place} là máy khác với máy đã gia nhập", "{place} is another node than the one enrolled", place=place
            ),
            say("kiểm tra địa chỉ cấp trên trong cấu hình", "check the parent's address in the configuration"),
        )
    return WrongPeer(
        say(
            "chứng thư của {place} không dẫn tới gốc của cây này ({reason})",
            "the certificate of {place} does not lead to our root ({reason})",
            place=place,
            reason=error.verify_message,
        ),
        say(
            "kiểm tra địa chỉ cấp trên; nếu đúng, có kẻ đứng giữa: gọi cho người quản trị cấp trên",
            "check the parent's address; if it is right, somebody stands in between: call the parent's operator",
        ),
    )


def _now() -> str:
    """By this computer's clock, which may be what is wrong."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime())


def _pinned(protocol: ssl._SSLMethod, ca_pem: str) -> ssl.SSLContext:
    """SSLContext itself, not create_default_context: that one would add the system's authorities and SSLKEYLOGFILE."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False
    try:
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise KeyFileError(
            say("không đọc được chứng thư gốc đã ghim", "the pinned root certificate cannot be read"),
            say("đặt lại ca.crt như lúc init hoặc join", "put ca.crt back as it was at init or join"),
        ) from error
    return context


def _read_ca(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise KeyFileError(
            say("thiếu tệp {path}", "{path} is missing", path=path),
            say("đặt lại ca.crt như lúc init hoặc join", "put ca.crt back as it was at init or join"),
        ) from error
    except (OSError, ValueError) as error:
        raise KeyFileError(
            say("không đọc được {path} như một chứng thư", "{path} cannot be read as a certificate", path=path),
            say("đặt lại ca.crt như lúc init hoặc join", "put ca.crt back as it was at init or join"),
        ) from error


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    check_secret_file(files.key)
    try:
        context.load_cert_chain(files.chain, files.key)
    except ssl.SSLError as error:
        raise KeyFileError(
            say(
                "{chain} và {key} không thuộc về nhau hoặc bị hỏng ({reason})",
                "{chain} and {key} do not belong together or are damaged ({reason})",
                chain=files.chain,
                key=files.key,
                reason=error.reason or say("không đúng dạng PEM", "no PEM"),
            ),
            say("đặt lại cả hai tệp của cùng một lần join hoặc gia hạn", "put both files of one join or renewal back"),
        ) from error
    except OSError as error:
        raise KeyFileError(
            say(
                "không đọc được {chain} ({reason})",
                "{chain} cannot be read ({reason})",
                chain=files.chain,
                reason=error.strerror,
            ),
            say("đặt lại chứng thư của máy", "put the node's certificate back"),
        ) from error
