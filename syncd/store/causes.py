"""Why a database refuses, in one shape for each kind of database: what happened, what to do, by the code it gives.

Enters: nothing. Leaves: causes, and the one that a code stands for. Must hold: no driver is imported here, nor where
the causes of a database are listed (`sqlite_causes.py`, `postgres_causes.py`), so that a screen can tell a stored
reason in the operator's language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from syncd.errors import StoreError, SyncdError
from syncd.language import Both, say

Code = TypeVar("Code")


@dataclass(frozen=True, slots=True)
class Cause:
    """What happened, and what to do."""

    kind: type[SyncdError]
    what: Both
    remedy: Both

    def error(self, **facts: Any) -> SyncdError:
        """The error with its facts filled in."""
        return self.kind(say(*self.what, **facts), say(*self.remedy, **facts))


def first(found: Iterable[Code], by_code: Mapping[Code, Cause], otherwise: Cause) -> Cause:
    """The cause of the first of these codes, the whole one before its class, that has one."""
    return next((by_code[code] for code in found if code in by_code), otherwise)


UNFIT = Cause(
    StoreError,
    Both(
        "một bảng hoặc cột của syncd không còn trong {place} ({why})",
        "a table or column of syncd is not in {place} any more ({why})",
    ),
    Both(
        "chương trình khác đã đổi tên hoặc xóa nó; [[syncd status]] nêu câu lệnh đổi lại; nếu đã xóa thì phục hồi bản"
        " sao lưu cuối ([[syncd restore BACKUP]])",
        "another program renamed or dropped it; [[syncd status]] names the statement that takes it back; if it was"
        " dropped, put the last backup back ([[syncd restore BACKUP]])",
    ),
)
