"""Names as people write them: what one hand may have written in two ways meets, what twins bear stays apart."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from conflict.identity_names import Name, NameLikeness, compare_names, fold_name, read_name, toned_name

SYLLABLES = ("Nguyễn", "Trần", "Lê", "Văn", "Thị", "Hữu", "Đức", "Anh", "Ánh", "Lan", "Loan", "Hà", "Hạ", "Hòa", "Mỹ")
names = st.lists(st.sampled_from(SYLLABLES), min_size=1, max_size=5).map(" ".join) | st.text(max_size=20)


def likeness(one: str, other: str) -> NameLikeness:
    found = compare_names(read_name(one), read_name(other), OSA.distance)
    assert compare_names(read_name(other), read_name(one), OSA.distance) is found
    return found


@pytest.mark.parametrize(
    ("typed", "folded"),
    [
        ("Nguyễn Thị Hoà", "nguien thi hoa"),
        ("NGUYEN  THI HÒA", "nguien thi hoa"),
        ("Nguyeenx Thij Hoaf", "nguien thi hoa"),  # Telex switched off
        ("Nguye64n Thi5 Hoa2", "nguien thi hoa"),  # VNI switched off
        ("Ddawngj Thuyr", "dang thui"),
        ("Nhuw Ww", "nhu uu"),
        ("Mỹ Lý", "mi li"),
        ("7", "7"),
        ("", ""),
    ],
)
def test_keyboards_and_cases_fold_to_one_name(typed: str, folded: str) -> None:
    assert " ".join(fold_name(typed)) == folded


def test_a_tone_stands_at_one_place_wherever_it_was_typed() -> None:
    assert toned_name("Hoà") == toned_name("HÒA") == toned_name(unicodedata.normalize("NFD", "hòa"))
    assert toned_name("Hoa Thi") == ""
    assert toned_name("Đa") != ""


def test_tones_stand_behind_their_syllable_and_other_marks_at_their_letter() -> None:
    assert toned_name("Đặng Thị Hoà") == "đa\u0306ng\u0323 thi\u0323 hoa\u0300"
    assert toned_name("Hòá") == "hoa\u0300\u0301"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Nguyễn Minh Anh", "NGUYỄN MINH ANH", NameLikeness.SAME),
        ("Nguyen Minh Anh", "nguyen minh anh", NameLikeness.BARE),
        ("Nguyễn Minh Ánh", "Nguyen Minh Anh", NameLikeness.BARE),
        ("Minh Anh Nguyen", "Nguyễn Minh Anh", NameLikeness.BARE),
        ("Nguyen Minh Anh", "Anh Nguyen Minh", NameLikeness.BARE),
        ("Nguyễn Minh Anh", "Nguyễn Minh Ánh", NameLikeness.TONES_DIFFER),
        ("Anh Nguyễn Minh", "Nguyễn Minh Anh", NameLikeness.REORDERED),
        ("Phạm Hồng Nam", "Thạm Hồng Nam", NameLikeness.FAMILY_TYPO),
        ("Phạm Hồng Nam", "Thạm Hồng Năm", NameLikeness.TYPO),
        ("Nguyễn Thị Hoa", "Nguyễn Hoa", NameLikeness.MIDDLE_MISSING),
        ("Trần Thị Thu Hoa", "Trần Thị Hoa", NameLikeness.MIDDLE_MISSING),
        ("Nguyễn Thị Lan", "Nguyễn Thị Loan", NameLikeness.TYPO),
        ("Nguyễn Văn Nam", "Nguyễn Vă nNam", NameLikeness.TYPO),
        ("Nguyễn Văn Nam", "Nguyễn VănNam", NameLikeness.TYPO),
        ("Nguyễn Văn Nam", "Nguyễn Hữu Nam", NameLikeness.MIDDLE_DIFFERS),
        ("Nguyễn Thị Lan", "Nguyễn Thị Hoa", NameLikeness.DIFFERENT),
        ("Trần Thị Lan Anh", "Trần Thị Hồng Anh", NameLikeness.MIDDLE_DIFFERS),
        ("Lê Hoa", "Lê Huệ", NameLikeness.DIFFERENT),
        ("Nguyễn Nguyễn", "Nguyễn", NameLikeness.DIFFERENT),
        ("Nguyễn Công Hữu", "Nguyễn Canh Hữu", NameLikeness.MIDDLE_DIFFERS),  # two edits in one syllable
        ("Nguyễn Thị Lan", "Nguyễn Thị Hoan", NameLikeness.DIFFERENT),
        ("Trần Văn Hoa", "Trần Anh Văn Hoa", NameLikeness.MIDDLE_MISSING),
        ("Trần Văn Hoa", "Trần Anh Thu Hoa", NameLikeness.MIDDLE_DIFFERS),
        ("Nguyễn", "Nguyễn Văn Nguyễn", NameLikeness.DIFFERENT),  # one syllable is not both family and given name
        ("Lan Anh", "Lan Ang", NameLikeness.TYPO),
        ("Trần Văn Nam", "Trần Vin Nan", NameLikeness.TYPO),  # two slips, in a name just long enough
        ("Trần Vân An", "Trần Vin Am", NameLikeness.DIFFERENT),
        ("Lan", "Hoa", NameLikeness.DIFFERENT),
        ("", "Nguyễn Thị Lan", NameLikeness.DIFFERENT),
        ("?", "Ý", NameLikeness.DIFFERENT),
        ("?", "?", NameLikeness.DIFFERENT),
    ],
)
def test_names_agree_as_closely_as_hands_slip(one: str, other: str, expected: NameLikeness) -> None:
    assert likeness(one, other) is expected


@given(names, names)
def test_likeness_of_names_has_no_order(one: str, other: str) -> None:
    likeness(one, other)


@given(names)
def test_a_name_is_its_own_likeness(name: str) -> None:
    folded = read_name(name)
    alike = NameLikeness.SAME if folded.toned else NameLikeness.BARE
    expected = alike if folded.syllables else NameLikeness.DIFFERENT
    assert likeness(name, name) is expected


def test_a_name_knows_its_parts() -> None:
    name = read_name("Nguyễn Thị Thu Hà")
    assert (name.family, name.middle, name.given, name.ordered) == ("nguien", ("thi", "thu"), "ha", "ha nguien thi thu")
    empty = Name(syllables=(), toned="")
    assert (empty.family, empty.given, empty.ordered) == ("", "", "")


def test_syllables_beyond_the_bound_tell_nothing() -> None:
    assert len(fold_name(" ".join(["An"] * 50))) == 8
    assert list(pairwise(fold_name("An " * 3))) == [("an", "an")] * 2
