"""How long certificates hold, read off their bytes alone: a screen need not load a library for two dates.

Enters: PEM text. Leaves: begin and end of each certificate in it, as unix seconds. Must hold: what is no certificate
raises ValueError; nothing is believed of a certificate but its dates.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
SEQUENCE, VERSION, UTC_TIME, GENERAL_TIME = 0x30, 0xA0, 0x17, 0x18  # tags of DER
# Read by hand: what parses any form of a date takes longer to load than all else that is read of a certificate.
TIMES = {
    UTC_TIME: re.compile(rb"(\d\d)" + rb"(\d\d)" * 5 + rb"Z"),
    GENERAL_TIME: re.compile(rb"(\d{4})" + rb"(\d\d)" * 5 + rb"Z"),
}
CENTURY_BEGINS = 50  # years of two digits: from here on those of 19.. (RFC 5280)


def validities(pem: str) -> list[tuple[float, float]]:
    """(begin, end) of every certificate, in their order."""
    found = [_validity(base64.b64decode("".join(text.split()), validate=True)) for text in _PEM.findall(pem)]
    if not found or len(found) != pem.count("-----BEGIN"):  # the last of a chain may be cut
        raise ValueError("no certificate")
    return found


def _validity(der: bytes) -> tuple[float, float]:
    """Certificate ::= SEQUENCE { tbs SEQUENCE { [0] version, serial, algorithm, issuer, validity … (RFC 5280)."""
    _tag, body, _rest = _element(_element(der)[1])
    tag, _content, rest = _element(body)
    if tag == VERSION:
        _tag, _content, rest = _element(rest)
    for _ in ("algorithm", "issuer"):
        _tag, _content, rest = _element(rest)
    tag, validity, _rest = _element(rest)
    if tag != SEQUENCE:
        raise ValueError("no certificate")
    begin_tag, begin, rest = _element(validity)
    end_tag, end, _rest = _element(rest)
    return _time(begin_tag, begin), _time(end_tag, end)


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content, and what follows."""
    if len(data) < 2:
        raise ValueError("no certificate")
    size, at = data[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(data[2:at], "big")
    if at + size > len(data):
        raise ValueError("no certificate")
    return data[0], data[at : at + size], data[at + size :]


def _time(tag: int, text: bytes) -> float:
    found = TIMES[tag].fullmatch(text) if tag in TIMES else None
    if found is None:
        raise ValueError("no certificate")
    year, month, day, hour, minute, second = map(int, found.groups())
    if tag == UTC_TIME:
        year += 1900 if year >= CENTURY_BEGINS else 2000
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
