"""When the persons of this node's registers were last matched with each other, as one line of the status screen.

Enters: the status. Leaves: a line, or none where nobody is registered. Must hold: a look that never ended is said so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.cli.output import YELLOW, paint
from syncd.cli.times import moment
from syncd.language import number, say

if TYPE_CHECKING:
    from syncd.status import Status


def matched(found: Status) -> list[str]:
    """The line, as a list."""
    if not found.has_persons:
        return []
    label = say("Đối chiếu nhân khẩu", "Persons matched")
    if found.matched_at is None:
        never = say(
            "chưa xong lần nào; tự chạy khi rảnh", "not in full yet; goes on by itself when nothing else is due"
        )
        return [f"{label}: {paint(never, YELLOW)}"]
    text = say("toàn bộ lần cuối {when}", "everybody last at {when}", when=moment(found.matched_at))
    if found.persons_due:
        text += say(" · {n} người vừa thay đổi đang chờ", " · {n} who changed wait", n=number(found.persons_due))
    return [f"{label}: {text}"]
