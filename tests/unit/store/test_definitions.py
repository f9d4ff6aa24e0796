"""Where a database takes no tables: are they to blame, or its disk, its rights, its server?"""

import sqlite3
from pathlib import Path

import psycopg
import pytest

from syncd.errors import DatabaseLocked, DiskFull, PermissionDenied, StoreError, SyncdError
from syncd.setup import not_of_definition


def of_sqlite(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("words of the library")
    error.sqlite_errorcode, error.sqlite_errorname = code, f"CODE_{code}"
    return error


def of_server(state: str) -> psycopg.Error:
    return psycopg.errors.lookup(state)("words of the server")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (of_sqlite(sqlite3.SQLITE_IOERR), StoreError),
        (of_sqlite(sqlite3.SQLITE_FULL), DiskFull),
        (of_sqlite(sqlite3.SQLITE_BUSY), DatabaseLocked),
        (of_sqlite(sqlite3.SQLITE_READONLY), PermissionDenied),
        (of_server("42501"), SyncdError),
        (of_server("53100"), DiskFull),
        (of_server("57P01"), SyncdError),
    ],
    ids=lambda value: getattr(value, "sqlite_errorname", None) or getattr(value, "sqlstate", None),
)
def test_a_disk_a_right_or_a_server_is_not_told_as_a_rule_of_a_table(
    error: Exception, kind: type[SyncdError], tmp_path: Path
) -> None:
    found = not_of_definition(error, str(tmp_path / "syncd.db"))
    assert isinstance(found, kind)
    assert "extra_tables" not in str(found)
    assert "words of" not in str(found)


@pytest.mark.parametrize("error", [of_sqlite(sqlite3.SQLITE_ERROR), of_server("42601"), of_server("42P01")])
def test_what_a_definition_says_wrong_is_its_own_fault(error: Exception) -> None:
    assert not_of_definition(error, "x") is None
