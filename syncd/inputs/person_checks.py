"""What the cells of one person say about each other, and about other persons of the file.

Enters: a person's values. Leaves: contradictions with their wording. Must hold: no text holds a value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from schema.values import Value
from syncd.inputs.person_survey import IDENTITIES, identity_key
from syncd.inputs.text import name_key

OWN = ("người khác trong hộ có cùng số này", "somebody else of the household has this number")
ALIKE = (
    "trong hộ có hai dòng cùng họ tên, giới tính và ngày sinh; xem có phải một người được ghi hai lần không",
    "two lines of the household have one name, sex and birth; look whether somebody was written twice",
)
OTHERS = ("người ở hộ khác trong tệp có cùng số này", "somebody of another household of the file has this number")


def same_number(
    values: Mapping[str, Value], before: Sequence[Mapping[str, Value]], twice: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str, str]]:
    """(column, wording) of each number that names somebody else too."""
    for column in IDENTITIES:
        number = values.get(column)
        if number is None:
            continue
        if any(each.get(column) == number for each in before):
            yield column, *OWN
        elif identity_key(str(number)) in twice[column]:
            yield column, *OTHERS


def stands_twice(values: Mapping[str, Value], before: Sequence[Mapping[str, Value]]) -> bool:
    """Whether somebody of the household has the same name, sex and birth."""
    return any(
        name_key(str(each["full_name"])) == name_key(str(values["full_name"]))
        and all(each[name] == values[name] for name in ("sex", "birth_date", "birth_precision"))
        for each in before
    )


def says_another(values: Mapping[str, Value]) -> Iterator[tuple[str, str, str, str]]:
    """(column, rule, wording) where a citizen id speaks of another sex or year of birth: its fourth digit tells sex and
    century, the next two the year (Decree 137/2015, article 7).
    """
    number, born = str(values.get("citizen_id") or ""), str(values["birth_date"])
    if len(number) != 12:
        return
    marker, year = int(number[3]), int(number[4:6])
    if marker % 2 != int(str(values["sex"])) - 1:
        yield (
            "citizen_id",
            "citizen_id_sex",
            "số định danh là của giới tính khác",
            "the citizen id is one of the other sex",
        )
    if 1900 + marker // 2 * 100 + year != int(born[:4]):
        yield (
            "citizen_id",
            "citizen_id_birth",
            "số định danh là của năm sinh khác",
            "the citizen id is one of another year of birth",
        )
