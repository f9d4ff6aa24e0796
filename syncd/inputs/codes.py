"""Code lists into `code_list` and `code`, at the root: ethnic groups, relation, education, marital status and so on.

Enters: lines `list,version,code,name`; a line with an empty code names the list. Leaves: rows about all units.
Must hold: loading again changes nothing; a corrected name is updated in place; a code that is gone from the
lines stays, since records use it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from syncd.inputs.text import clean
from syncd.store.base import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRow:
    """One code; an empty `code` is the list itself and `name` its title."""

    list_name: str
    version: int
    code: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeImport:
    lists: int
    codes: int
    added: int
    renamed: int


def load_codes(tx: Tx, rows: Sequence[CodeRow]) -> CodeImport:
    """Insert what is missing and rename what differs. The guard refuses it elsewhere than at the root."""
    lists = [row for row in rows if not row.code]
    codes = [row for row in rows if row.code]
    titles = {(name, version): title for name, version, title in tx.all("SELECT name, version, title FROM code_list")}
    names = {
        (list_name, version, code): name
        for list_name, version, code, name in tx.all("SELECT list_name, version, code, name FROM code")
    }
    new_lists = [(r.list_name, r.version, r.name) for r in lists if (r.list_name, r.version) not in titles]
    new_codes = [
        (r.list_name, r.version, r.code, r.name) for r in codes if (r.list_name, r.version, r.code) not in names
    ]
    retitled = [
        (r.name, r.list_name, r.version) for r in lists if titles.get((r.list_name, r.version), r.name) != r.name
    ]
    renamed = [
        (r.name, r.list_name, r.version, r.code)
        for r in codes
        if names.get((r.list_name, r.version, r.code), r.name) != r.name
    ]
    for sql, values in (
        ("INSERT INTO code_list (name, version, title) VALUES (?, ?, ?)", new_lists),
        ("INSERT INTO code (list_name, version, code, name) VALUES (?, ?, ?, ?)", new_codes),
        ("UPDATE code_list SET title = ? WHERE name = ? AND version = ?", retitled),
        ("UPDATE code SET name = ? WHERE list_name = ? AND version = ? AND code = ?", renamed),
    ):
        if values:
            tx.many(sql, values)
    return CodeImport(
        lists=len(lists), codes=len(codes), added=len(new_lists) + len(new_codes), renamed=len(retitled) + len(renamed)
    )


def package_codes() -> list[CodeRow]:
    """The lists that ship with the package."""
    return read_codes(files("syncd").joinpath("data/codes.csv").read_text(encoding="utf-8").splitlines())


def read_codes(lines: Iterable[str]) -> list[CodeRow]:
    """Rows of a CSV `list,version,code,name`; lines that begin with # are comments. Codes stay text: 01 is not 1."""
    reader = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [
        CodeRow(list_name=row["list"], version=int(row["version"]), code=row["code"], name=clean(row["name"]))
        for row in reader
    ]


def codes_of(tx: Tx, list_name: str) -> dict[str, str]:
    """Code → name of the newest version of a list that is here; empty when the list has not come down yet."""
    return dict(
        tx.all(
            "SELECT code, name FROM code WHERE list_name = ? "
            "AND version = (SELECT max(version) FROM code WHERE list_name = ?) ORDER BY code",
            (list_name, list_name),
        )
    )


def names_of(tx: Tx, list_name: str) -> dict[str, str]:
    """Code → its newest name, of every version of a list: records may be older than the newest."""
    return dict(tx.all("SELECT code, name FROM code WHERE list_name = ? ORDER BY version", (list_name,)))
