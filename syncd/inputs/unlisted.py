"""Persons with codes that their list does not have, counted by column and code.

Enters: a read transaction, units, the kinds of residence that count. Leaves: counts. Must hold: one reading of the
persons, whatever the number of columns; while a list is not here nothing is said of it; no person is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from schema.spec import Registry
from syncd.inputs.codes import names_of
from syncd.store.base import Tx, in_lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """`n` persons bear `code` in a column whose list does not have it."""

    column: str
    code: str
    n: int


def unlisted_codes(tx: Tx, registry: Registry, units: Sequence[str], residence: Sequence[str]) -> tuple[Unlisted, ...]:
    """The codes, the commonest of each column first."""
    listed = {
        column.name: names.keys() for column in registry.by_name["person"].columns
        if column.code_list and column.name != "residence" and (names := names_of(tx, column.code_list))
    }  # fmt: skip
    if not listed:
        return ()
    columns = ", ".join(listed)
    counts: Counter[tuple[str, str]] = Counter()
    places = ", ".join("?" * len(residence))
    for marks, some in in_lists(sorted(units)):
        rows = tx.all(
            f"SELECT {columns}, count(*) FROM person WHERE unit_id IN ({marks}) AND residence IN ({places})"
            f" GROUP BY {columns}",
            (*some, *residence),
        )
        for *codes, n in rows:
            for column, code in zip(listed, codes, strict=True):
                if code is not None and code not in listed[column]:
                    counts[column, code] += int(n)
    order = list(listed)
    return tuple(
        Unlisted(column=column, code=code, n=n)
        for (column, code), n in sorted(
            counts.items(), key=lambda each: (order.index(each[0][0]), -each[1], each[0][1])
        )
    )
