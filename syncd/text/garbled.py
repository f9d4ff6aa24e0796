"""Text that was written in one code and read in another: told by what it becomes when it is read back.

Enters: the text of a cell, or bytes that are no UTF-8. Leaves: the name of the code, or nothing.
Must hold: a text is called garbled only where reading it back gives Vietnamese syllables throughout, or where it holds
what no name does; François, Ksor Y Blŏ and H'Hen are left alone. Nothing is mended: a person converts the file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from syncd.language import Both
from syncd.text.vietnamese import is_syllable

TWICE_UTF_8 = Both("UTF-8 bị đọc như mã khác (ký tự dạng Ã, áº, á»)", "UTF-8 that was read as another code (Ã, áº, á»)")
TCVN3 = Both("mã TCVN3 (phông .VnTime)", "the code TCVN3 (fonts named .VnTime)")
VNI = Both("mã VNI (phông VNI-Times)", "the code VNI (fonts named VNI-Times)")
CP1258 = Both("mã Windows-1258", "the code Windows-1258")

_TCVN3_LETTERS = (
    "\xb5à\xb8á\xb6ả\xb7ã\xb9ạ\xa8ă\xbbằ\xbeắ\xbcẳ\xbdẵ\xc6ặ\xa9â\xc7ầ\xcaấ\xc8ẩ\xc9ẫ\xcbậ\xccè\xd0é\xceẻ\xcfẽ\xd1ẹ"
    "\xaaê\xd2ề\xd5ế\xd3ể\xd4ễ\xd6ệ\xd7ì\xddí\xd8ỉ\xdcĩ\xdeị\xdfò\xe3ó\xe1ỏ\xe2õ\xe4ọ\xabô\xe5ồ\xe8ố\xe6ổ\xe7ỗ\xe9ộ"
    "\xacơ\xeaờ\xedớ\xebở\xecỡ\xeeợ\xefù\xf3ú\xf1ủ\xf2ũ\xf4ụ\xadư\xf5ừ\xf8ứ\xf6ử\xf7ữ\xf9ự\xfaỳ\xfdý\xfbỷ\xfcỹ\xfeỵ"
    "\xaeđ\xa1Ă\xa2Â\xa3Ê\xa4Ô\xa5Ơ\xa6Ư\xa7Đ"
)
_TCVN3 = dict(zip(_TCVN3_LETTERS[::2], _TCVN3_LETTERS[1::2], strict=True))
# VNI writes a letter and then its marks, each a character of its own; a few letters have one character for both.
_VNI_MARKS = {
    "ù": "\u0301", "ø": "\u0300", "û": "\u0309", "õ": "\u0303", "ï": "\u0323",
    "â": "\u0302", "á": "\u0302\u0301", "à": "\u0302\u0300", "å": "\u0302\u0309", "ã": "\u0302\u0303",
    "ä": "\u0302\u0323", "ê": "\u0306", "é": "\u0306\u0301", "è": "\u0306\u0300", "ú": "\u0306\u0309",
    "ü": "\u0306\u0303", "ë": "\u0306\u0323",
}  # fmt: skip
_VNI_LETTERS = {"ñ": "đ", "ö": "ư", "ô": "ơ", "í": "í", "ì": "ì", "æ": "ỉ", "ó": "ĩ", "ò": "ị", "î": "ỵ"}
_VNI_PAIR = re.compile("([aeouyAEOUYôöÔÖ])([ùøûõïâáàåãäêéèúüëÙØÛÕÏÂÁÀÅÃÄÊÉÈÚÜË])")
# Bytes of the last Windows code page that stand for no character of Latin-1.
_CP1252 = {bytes([code]).decode("cp1252", "ignore"): code for code in range(0x80, 0xA0)}
_BLANK_ONCE_A_BYTE = re.compile(b"(\xc3|\xc6|\xba)(?: |$)")
_LETTERS = frozenset("đ").union(
    unicodedata.normalize("NFC", vowel + tone)
    for vowel in "aăâeêioôơuưy"
    for tone in ("", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
)
_INNER_CAPITAL = re.compile("[a-z][\u00c0-\u00d6\u00d8-\u00de\u0102\u0110\u0128\u0168\u01a0\u01af]")
ETH = str.maketrans("\u00d0\u00f0\u0189\u0256", "\u0110\u0111\u0110\u0111")  # taken for Đ, which they only resemble
_TONE_AS_LETTER = re.compile("[\u00de\u00fe]|[aeiouyâêôăơưãõý][ìòÌÒ]|[AEIOUYÂÊÔĂƠƯÃÕÝ][ÌÒ]")
_WORD = re.compile(r"[^\s\d.,;:/()+'’-]+")


@lru_cache(maxsize=20_000)
def code_of(text: str) -> Both | None:
    """The code that a text was really written in; None where nothing speaks against it."""
    if text.isascii():
        return None
    composed = unicodedata.normalize("NFC", text)
    if _all_syllables(composed):
        return None
    if _read_twice(text):
        return TWICE_UTF_8
    if _is_strange(composed) and _all_syllables(_tcvn3(composed)):
        return TCVN3
    other = _vni(composed)
    if other != composed and _all_syllables(other):
        return VNI
    return CP1258 if _is_cp1258(composed) else None


def code_of_bytes(data: bytes) -> Both | None:
    """The code of bytes that are no UTF-8, by the words in them; None where none of the known ones fits."""
    latin = data.decode("latin-1")
    candidates: Mapping[str, Both] = {
        _tcvn3(latin): TCVN3, _vni(latin): VNI, data.decode("cp1258", "replace"): CP1258,
    }  # fmt: skip
    shares = {_share(text, latin): code for text, code in candidates.items()}
    best = max(shares)
    return shares[best] if best > 0.6 else None


def _share(text: str, latin: str) -> float:
    """How many of the words with letters beyond ASCII are syllables when they are read so."""
    words = [word for word in _WORD.findall(unicodedata.normalize("NFC", text)) if not word.isascii()]
    return sum(map(is_syllable, words)) / max(len(words), sum(not w.isascii() for w in _WORD.findall(latin)), 1)


def _all_syllables(text: str) -> bool:
    words = _WORD.findall(text)
    return bool(words) and all(map(is_syllable, words))


def _is_strange(text: str) -> bool:
    """Whether it holds what no Vietnamese word does: signs among letters, other letters, capitals within a word.
    Without that a name of another people may merely look like a syllable read so (Ia Púch)."""
    return _INNER_CAPITAL.search(text) is not None or any(
        not letter.isascii() and letter.casefold() not in _LETTERS for letter in text
    )


def _tcvn3(text: str) -> str:
    return "".join(_TCVN3.get(letter, letter) for letter in text)


def _vni(text: str) -> str:
    """Read as VNI: pairs first, then the letters that have one character of their own."""
    marked = _VNI_PAIR.sub(lambda pair: _vni_letter(pair[1]) + _VNI_MARKS[pair[2].lower()], text)
    return unicodedata.normalize("NFC", "".join(map(_vni_letter, marked)))


def _vni_letter(letter: str) -> str:
    read = _VNI_LETTERS.get(letter.lower(), letter)
    return read.upper() if letter.isupper() else read


def _is_cp1258(text: str) -> bool:
    """Whether bytes of Windows-1258 were read as Western ones: a tone is a letter of its own there. One of Đ alone is
    an Icelandic letter in its place, which is no doubt.
    """
    if _all_syllables(text.translate(ETH)) or not _TONE_AS_LETTER.search(text):
        return False
    try:
        return _all_syllables(unicodedata.normalize("NFC", text.encode("cp1252").decode("cp1258")))
    except UnicodeError:
        return False


def _read_twice(text: str) -> bool:
    """Whether the characters, taken as bytes of another code page, are UTF-8 again: of Macintosh or Vietnamese Windows,
    or of a Western one, where a blank may have been a byte.
    """
    if any(_is_utf_8(data) for code in ("mac_roman", "cp1258") if (data := _encoded(text, code))):
        return True
    codes = [_CP1252.get(letter, ord(letter)) for letter in text]
    if max(codes) > 0xFF:
        return False
    data = bytes(codes)
    if all(code < 0x80 for code in codes):
        return False
    return _is_utf_8(data) or _is_utf_8(_BLANK_ONCE_A_BYTE.sub(b"\\1\xa0", data))


def _encoded(text: str, code: str) -> bytes:
    try:
        return text.encode(code)
    except UnicodeEncodeError:
        return b""


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
