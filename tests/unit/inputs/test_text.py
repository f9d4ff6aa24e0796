"""Vietnamese spellings that are one name, and those that are not."""

from __future__ import annotations

import unicodedata

from syncd.inputs.text import clean, name_key, plain


def test_text_is_stored_composed_and_without_stray_blanks() -> None:
    assert clean(unicodedata.normalize("NFD", "  Thị trấn  Kẻ Sặt ")) == "Thị trấn Kẻ Sặt"


def test_case_blanks_and_place_of_the_tone_mark_do_not_make_another_name() -> None:
    assert name_key("Xã Điềm Thuỵ") == name_key("xã  Điềm Thụy")
    assert name_key("Thị Xã Hoà Bình") == name_key("Thị xã Hòa Bình")


def test_another_tone_or_letter_makes_another_name() -> None:
    assert name_key("Xã Hòa An") != name_key("Xã Hóa An")
    assert name_key("Xã Đa") != name_key("Xã Da")


def test_search_text_has_no_diacritics_and_no_crossed_d() -> None:
    assert plain("Đặng Xá") == "dang xa"
