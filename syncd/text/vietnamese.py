"""Whether a word is spelt as a Vietnamese syllable: what tells text read by the wrong code from text that is odd.

Enters: words in any composition. Leaves: a verdict. Must hold: names of minority peoples and of foreigners are no
syllables either, so nothing is ever refused merely because this says no.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

TONES = "\u0300\u0301\u0303\u0309\u0323"  # huyền, sắc, ngã, hỏi, nặng: a syllable has at most one
ONSETS = "ngh|ng|nh|gh|gi|kh|ph|qu|th|tr|ch|[bcdđghklmnpqrstvx]"
RIMES = (
    "a|ac|ach|ai|am|an|ang|anh|ao|ap|at|au|ay|ăc|ăm|ăn|ăng|ăp|ăt|âc|âm|ân|âng|âp|ât|âu|ây|e|ec|em|en|eng|eo|ep|et|"
    "ê|êch|êm|ên|ênh|êp|êt|êu|i|ia|ich|im|in|inh|ip|it|iu|iêc|iêm|iên|iêng|iêp|iêt|iêu|o|oa|oac|oach|oai|oam|oan|"
    "oang|oanh|oao|oap|oat|oay|oăc|oăm|oăn|oăng|oăt|oc|oe|oen|oeo|oet|oi|om|on|ong|ooc|oong|op|ot|ô|ôc|ôi|ôm|ôn|ông|"
    "ôp|ôt|ơ|ơi|ơm|ơn|ơp|ơt|u|ua|uân|uâng|uât|uây|uc|uê|uêch|uênh|ui|um|un|ung|uôc|uôi|uôm|uôn|uông|uôt|up|ut|uy|uya|"
    "uych|uyên|uyêt|uyn|uynh|uyt|uyu|uơ|uơn|ư|ưa|ưc|ưi|ưm|ưn|ưng|ươc|ươi|ươm|ươn|ương|ươp|ươt|ươu|ưt|ưu|"
    "y|yêm|yên|yêng|yêt|yêu|yt|ynh|ych"
)
_SYLLABLE = re.compile(f"(?:{ONSETS})?(?:{RIMES})|gi")


@lru_cache(maxsize=20_000)
def is_syllable(word: str) -> bool:
    """Whether a word, in any letter case, is spelt as Vietnamese syllables are, with one tone at most."""
    parts = unicodedata.normalize("NFD", word.casefold())
    bare = "".join(letter for letter in parts if letter not in TONES)
    return len(parts) - len(bare) <= 1 and _SYLLABLE.fullmatch(unicodedata.normalize("NFC", bare)) is not None
