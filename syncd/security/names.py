"""The names a node's certificate carries, and the files that hold it: nothing heavy, so that the daemon's start
stays cheap.
"""

TLS_KEY_FILE = "tls.key"
TLS_CHAIN_FILE = "tls.crt"
ROOT_CERTIFICATE_FILE = "ca.crt"
ISSUER_CHAIN_FILE = "issuer.crt"
NODE_URI_PREFIX = "urn:syncd:node:"
_TLS_DOMAIN = "syncd.internal"


def tls_name(node_id: str) -> str:
    """The name a client asks for (SNI) and checks, wherever the address leads: it proves the node, not the IP."""
    return f"{node_id}.{_TLS_DOMAIN}"
