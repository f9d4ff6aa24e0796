"""Bounds of what the security package reads, writes and believes. Everything from outside is measured against them
first.
"""

KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEY_FILE_BYTES_MAX = 4096
PEM_BYTES_MAX = 64 * 1024
CERTIFICATE_BYTES_MAX = 8192
REQUEST_BYTES_MAX = 4096
# The tree is data, of any depth; this only stops a chain made to keep us busy.
TREE_DEPTH_MAX = 32

NODE_CERTIFICATE_DAYS = 365
NODE_CERTIFICATE_DAYS_MAX = 3 * 365
ISSUER_CERTIFICATE_DAYS = 10 * 365
ROOT_CERTIFICATE_DAYS = 30 * 365
# A station's clock may be behind its parent's; a certificate that begins yesterday still greets it.
CERTIFICATE_BACKDATE_S = 24 * 3600

TOKEN_CHARS_MAX = 2048
TOKEN_URLS_MAX = 8
TOKEN_SECRET_BYTES = 16
TOKEN_CHECKSUM_BYTES = 4
URL_CHARS_MAX = 255
CODE_CHARS_MAX = 32
NAME_CHARS_MAX = 200

JOIN_REQUEST_BYTES_MAX = 32 * 1024
JOIN_REPLY_BYTES_MAX = 256 * 1024
