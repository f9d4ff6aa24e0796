"""Only values of the canonical types are kept (schema/spec.py), on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import pytest

from tests.programs import Invalid, Program
from tests.schema_builders import PERSON

BAD: dict[str, tuple[str, object]] = {
    "NUL in text": ("full_name", "a\0b"),
    "NUL at the end": ("full_name", "a\0"),
    "too long": ("full_name", "ữ" * 201),
    "a day that does not exist": ("birth_date", "2024-02-31"),
    "year 0": ("birth_date", "0000-01-01"),
    "before year 1": ("birth_date", "0044-03-15 BC"),
    "after year 9999": ("birth_date", "10000-01-01"),
    "a date with NUL": ("birth_date", "2024-01-01\0"),
    "infinity as a date": ("birth_date", "infinity"),
    "text as a number": ("line_no", "abc"),
    "a fraction as text": ("line_no", "1.5"),
    "NaN as text": ("line_no", "NaN"),
    "infinity as text": ("line_no", "Infinity"),
    "not hex": ("mother_id", "z1a1ffae-ab57-7daa-86ba-204daaaabbbb"),
    "uuid with NUL": ("mother_id", "01a1ffae-ab57-7daa-86ba-204daaaabbbb\0"),
    "rule": ("sex", 3),
    "eleven digits": ("citizen_id", "12345678901"),
    "digits of another script": ("citizen_id", "٠١٢٣٤٥٦٧٨٩٠١"),
}
# What PostgreSQL converts to a canonical value before any CHECK sees it.
BAD_AS_STORED: dict[str, tuple[str, object]] = {
    "bytes as text": ("full_name", b"abc"),
    "a date with a time": ("birth_date", "2024-01-01 00:00"),
    "now as a date": ("birth_date", "now"),
    "a fraction": ("line_no", 1.5),
    "NaN": ("sex", float("nan")),  # SQLite has no NaN: it is NULL, which only a NOT NULL column refuses
    "infinity": ("line_no", float("inf")),
    "upper-case uuid": ("mother_id", "01A1FFAE-AB57-7DAA-86BA-204DAAAABBBB"),
}
GOOD: dict[str, tuple[str, object]] = {
    "first day": ("birth_date", "0001-01-01"),
    "last day": ("birth_date", "9999-12-31"),
    "leap day": ("birth_date", "2024-02-29"),
    "longest": ("full_name", "ữ" * 200),
    "64 bit": ("line_no", -(2**63)),
}
INSTANTS = {  # whether it is one
    "2026-11-21T19:43:15Z": True,
    "2026-11-21T19:43:15.123Z": True,
    "2026-11-21T24:00:00Z": False,
    "2026-02-30T00:00:00Z": False,
    "2026-11-21T19:43:15+07:00": False,
    "2026-11-21 19:43:15": False,
}


@pytest.mark.parametrize("case", BAD)
def test_values_outside_the_canonical_types_are_refused(program: Program, case: str) -> None:
    column, value = BAD[case]
    with pytest.raises(Invalid):
        program.insert("person", **{**PERSON, column: value})


@pytest.mark.parametrize("case", BAD_AS_STORED)
def test_values_that_sqlite_would_store_as_they_come_are_refused(sqlite_program: Program, case: str) -> None:
    column, value = BAD_AS_STORED[case]
    with pytest.raises(Invalid):
        sqlite_program.insert("person", **{**PERSON, column: value})


@pytest.mark.parametrize("case", GOOD)
def test_values_at_the_edges_are_kept_as_they_are(program: Program, case: str) -> None:
    column, value = GOOD[case]
    program.insert("person", **{**PERSON, column: value})
    assert program.value(f"SELECT CAST({column} AS text) FROM person") == str(value)


@pytest.mark.parametrize("moment", [moment for moment, accepted in INSTANTS.items() if accepted])
def test_instants_in_utc_are_accepted(program: Program, moment: str) -> None:
    program.run("UPDATE node SET enrolled_at = ?", moment)
    assert program.value("SELECT enrolled_at FROM node") == moment


@pytest.mark.parametrize("moment", [moment for moment, accepted in INSTANTS.items() if not accepted])
def test_instants_that_are_no_real_moment_in_utc_are_refused(program: Program, moment: str) -> None:
    with pytest.raises(Invalid):
        program.run("UPDATE node SET enrolled_at = ?", moment)
