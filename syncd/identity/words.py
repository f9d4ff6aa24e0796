"""What a link means for one unit, told in words: its own row, and that there is another one, never whose.

Enters: rows of `person_link` as far as they are here. Leaves: one `OwnSide` per row, and a sentence.
Must hold: nothing of the other side is read, so that the same words can be shown at every tier; the text names the
unit's own person, so it goes to a screen and never into a log.
"""

from __future__ import annotations

from dataclasses import dataclass

from syncd.language import Both, say
from syncd.limits import IDENTITY_LISTED_MAX
from syncd.store.base import Tx

METHODS = {
    "citizen_id": Both("trùng số định danh", "same citizen id"),
    "insurance_no": Both("trùng mã số bảo hiểm y tế", "same insurance number"),
    "score": Both("họ tên, ngày sinh và gia đình khớp nhau", "name, birth and family agree"),
    "person": Both("cán bộ quyết định", "decided by a person"),
}
STATES = {
    "linked": Both("đã liên kết", "linked"),
    "proposed": Both("chờ xem xét", "to be looked at"),
    "unlinked": Both("đã gỡ", "taken apart"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSide:
    """One side of a link. Names are empty where the row is not here (any more)."""

    link_id: str
    person_id: str
    unit: str
    state: str
    method: str
    score: int
    decided_by: str
    decided_at: str
    full_name: str
    birth_date: str
    household_no: str


_SIDES = """
    SELECT l.link_id, l.person_id, coalesce(u.name, ''), l.state, l.method, l.score, l.decided_by, l.decided_at,
      coalesce(p.full_name, ''), p.birth_date, coalesce(h.number, '')
    FROM person_link AS l
    LEFT JOIN unit AS u ON u.id = l.unit_id
    LEFT JOIN person AS p ON p.id = l.person_id
    LEFT JOIN household AS h ON h.id = p.household_id
    WHERE l.state = ? ORDER BY l.decided_at DESC, l.link_id, l.person_id LIMIT ?
"""


def own_sides(tx: Tx, state: str = "linked") -> list[OwnSide]:
    """The sides of links that are known here, newest first, at most IDENTITY_LISTED_MAX."""
    return [
        OwnSide(
            link_id=row[0], person_id=row[1], unit=row[2], state=row[3], method=row[4], score=row[5], decided_by=row[6],
            decided_at=row[7], full_name=row[8], birth_date=row[9] or "", household_no=row[10],
        )
        for row in tx.all(_SIDES, (state, IDENTITY_LISTED_MAX))
    ]  # fmt: skip


def told(side: OwnSide) -> str:
    """The sentence for the unit whose row it is."""
    facts = {"who": _who(side), "method": METHODS[side.method].here}
    if side.state == "linked":
        return say(
            "{who}: là cùng một người với một bản ghi khác ({method}). Bản ghi của đơn vị giữ nguyên, ai cũng chỉ được"
            " tính một lần ở tuyến trên.",
            "{who}: the same person as another row ({method}). Your row stays as it is; the tier above counts the"
            " person once.",
            **facts,
        )
    if side.state == "proposed":
        return say(
            "{who}: có thể là cùng một người với một bản ghi khác ({method}). Tuyến trên đang xem xét, đơn vị chưa phải"
            " làm gì.",
            "{who}: perhaps the same person as another row ({method}). The tier above looks at it; nothing to do here"
            " yet.",
            **facts,
        )
    return say(
        "{who}: không phải cùng một người với bản ghi khác từng nêu ({method}). Bản ghi của đơn vị giữ nguyên.",
        "{who}: not the same person as the other row that was named ({method}). Your row stays as it is.",
        **facts,
    )


def _who(side: OwnSide) -> str:
    if not side.full_name:
        return say("Bản ghi {id}", "Row {id}", id=side.person_id)
    born = "/".join(reversed(side.birth_date.split("-")))
    return say(
        "{name}, sinh {born}, hộ số {household}, {unit}",
        "{name}, born {born}, household {household}, {unit}",
        name=side.full_name,
        born=born,
        household=side.household_no or "–",
        unit=side.unit,
    )
