"""How a second hand writes a person down: slips of keyboards, ears and papers, seeded.

Enters: randomness and what is true. Leaves: what is typed, and a word for each slip.
Must hold: no slip looks at how persons are matched. The kinds are those that register offices report (tones left out,
Telex or VNI switched off, s for x, day and month exchanged, a year off by one, 1 January for a day nobody knows); their
shares are assumptions, not measurements.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import date
from random import Random

Slip = Callable[[Random, str], str]

TELEX_TONES = {"\u0301": "s", "\u0300": "f", "\u0309": "r", "\u0303": "x", "\u0323": "j"}
VNI_TONES = {"\u0301": "1", "\u0300": "2", "\u0309": "3", "\u0303": "4", "\u0323": "5"}
TELEX_MARKS = {"\u0306": "w", "\u031b": "w"}  # breve, horn; a circumflex doubles its letter
VNI_MARKS = {"\u0302": "6", "\u031b": "7", "\u0306": "8"}
CIRCUMFLEX = "\u0302"
TONES = tuple(TELEX_TONES)
VOWELS = frozenset("aeiouy")
# One region's ear for another's: each pair both ways.
HEARD = (("s", "x"), ("ch", "tr"), ("l", "n"), ("d", "gi"), ("r", "d"), ("i", "y"), ("n", "ng"), ("c", "t"))


def typed_name(random: Random, name: str) -> tuple[str, str]:
    """The name with one slip, and its kind."""
    kind = random.choices(list(NAME_SLIPS), [weight for weight, _ in NAME_SLIPS.values()])[0]
    return NAME_SLIPS[kind][1](random, name), kind


def typed_birth(random: Random, born: str) -> tuple[str, str, str]:
    """Date, precision and kind of slip; a slip that makes no date of the past is tried again as another."""
    for kind in random.choices(list(BIRTH_SLIPS), [weight for weight, _ in BIRTH_SLIPS.values()], k=10):
        typed = BIRTH_SLIPS[kind][1](random, born)
        if (typed != born and _is_date(typed)) or kind == "to_year":
            return typed, "y" if kind == "to_year" else "d", kind
    return born, "d", "none"


def typed_digits(random: Random, number: str) -> str:
    """The number with one digit wrong, or two neighbours exchanged."""
    place = random.randrange(len(number) - 1)
    if random.random() < 0.3:
        return number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    return number[:place] + str((int(number[place]) + random.randrange(1, 10)) % 10) + number[place + 1 :]


def bare(name: str) -> str:
    """Without any mark."""
    letters = unicodedata.normalize("NFD", name.replace("đ", "d").replace("Đ", "D"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _bare(_random: Random, name: str) -> str:
    return bare(name)


def _upper(_random: Random, name: str) -> str:
    return name.upper()


def _decomposed(_random: Random, name: str) -> str:
    return unicodedata.normalize("NFD", name)


def _telex(_random: Random, name: str) -> str:
    return " ".join(_keys(word, "dd", TELEX_TONES, TELEX_MARKS, doubled=True) for word in name.split())


def _vni(_random: Random, name: str) -> str:
    return " ".join(_keys(word, "d9", VNI_TONES, VNI_MARKS, doubled=False) for word in name.split())


def _keys(word: str, crossed_d: str, tones: dict[str, str], marks: dict[str, str], *, doubled: bool) -> str:
    """The keys pressed for a word, the tone last as most people type it."""
    typed, tone = "", ""
    for letter in unicodedata.normalize("NFD", word):
        if letter in tones:
            tone = tones[letter]
        elif letter == CIRCUMFLEX and doubled:
            typed += typed[-1].lower()
        elif letter in "đĐ":
            typed += crossed_d if letter == "đ" else crossed_d.capitalize()
        else:
            typed += marks.get(letter, letter)
    return typed + tone


def _tone(random: Random, name: str) -> str:
    """Another tone, or none, on one syllable."""
    words = [unicodedata.normalize("NFD", word) for word in name.split()]
    place = random.randrange(len(words))
    old = next((letter for letter in words[place] if letter in TONES), "")
    new = random.choice([tone for tone in (*TONES, "") if tone != old])
    if old:
        words[place] = words[place].replace(old, new)
    else:
        at = next((n for n, letter in enumerate(words[place]) if letter.lower() in VOWELS), 0)
        words[place] = words[place][: at + 1] + new + words[place][at + 1 :]
    return unicodedata.normalize("NFC", " ".join(words))


def _letter(random: Random, name: str) -> str:
    """One letter wrong, left out, doubled, or exchanged with the next."""
    places = [n for n, letter in enumerate(name) if letter != " " and n + 1 < len(name)]
    at = random.choice(places)
    way = random.randrange(4)
    if way == 0:
        return name[:at] + random.choice("aeinhtgou") + name[at + 1 :]
    if way == 1:
        return name[:at] + name[at + 1 :]
    if way == 2:
        return name[: at + 1] + name[at].lower() + name[at + 1 :]
    return name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def _heard(random: Random, name: str) -> str:
    """Written as heard: one sound for another, in one place."""
    low = name.lower()
    ways = [(one, other) for pair in HEARD for one, other in (pair, pair[::-1]) if one in low]
    if not ways:
        return _letter(random, name)
    one, other = random.choice(ways)
    at = low.index(one)
    written = other.capitalize() if name[at].isupper() else other
    return name[:at] + written + name[at + len(one) :]


def _given_first(_random: Random, name: str) -> str:
    words = name.split()
    return " ".join([words[-1], *words[:-1]])


def _no_middle(_random: Random, name: str) -> str:
    words = name.split()
    return f"{words[0]} {words[-1]}"


def _tone_place(_random: Random, name: str) -> str:
    return name.replace("òa", "oà").replace("óa", "oá").replace("ủy", "uỷ").replace("úy", "uý").replace("ùy", "uỳ")


NAME_SLIPS: dict[str, tuple[int, Slip]] = {
    "bare": (25, _bare),
    "letter": (20, _letter),
    "tone": (14, _tone),
    "heard": (12, _heard),
    "upper": (10, _upper),
    "telex": (6, _telex),
    "no_middle": (5, _no_middle),
    "vni": (3, _vni),
    "tone_place": (2, _tone_place),
    "given_first": (2, _given_first),
    "decomposed": (1, _decomposed),
}


def _day_month(_random: Random, born: str) -> str:
    return f"{born[:4]}-{born[8:]}-{born[5:7]}"


def _year(random: Random, born: str) -> str:
    return f"{int(born[:4]) + random.choice((-1, 1)):04d}{born[4:]}"


def _decade(random: Random, born: str) -> str:
    return f"{int(born[:4]) + random.choice((-10, 10)):04d}{born[4:]}"


def _day(random: Random, born: str) -> str:
    return f"{born[:8]}{random.randrange(1, 29):02d}"


def _month(random: Random, born: str) -> str:
    return f"{born[:5]}{random.randrange(1, 13):02d}{born[7:]}"


def _first_january(_random: Random, born: str) -> str:
    return f"{born[:4]}-01-01"


BIRTH_SLIPS: dict[str, tuple[int, Slip]] = {
    "day_month": (25, _day_month),
    "day": (25, _day),
    "year": (17, _year),
    "first_january": (10, _first_january),
    "to_year": (10, _first_january),
    "month": (8, _month),
    "decade": (5, _decade),
}


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
