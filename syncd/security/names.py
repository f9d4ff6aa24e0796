"""The names a node's certificate carries, and the files that hold it and its keys: nothing heavy, so that the
daemon's start stays cheap.
"""

SIGNING_KEY_FILE = "signing.key"
EXCHANGE_KEY_FILE = "exchange.key"
TLS_KEY_FILE = "tls.key"
TLS_CHAIN_FILE = "tls.crt"
ROOT_CERTIFICATE_FILE = "ca.crt"
ISSUER_CHAIN_FILE = "issuer.crt"
ISSUER_KEY_FILE = "issuer.key"
ROOT_KEY_FILE = "ca.key"
NODE_URI_PREFIX = "urn:syncd:node:"
_TLS_DOMAIN = "syncd.internal"


def tls_name(node_id: str) -> str:
    """The name a client asks for (SNI) and checks, wherever the address leads: it proves the node, not the IP."""
    return f"{node_id}.{_TLS_DOMAIN}"
