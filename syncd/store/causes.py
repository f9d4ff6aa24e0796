"""Why a database refuses, in one shape for each kind of database: what happened, what to do, by the code it gives.

Enters: nothing. Leaves: causes, and the one that a code stands for. Must hold: no driver is imported here, nor where
the causes of a database are listed (`sqlite_causes.py`, `postgres_causes.py`), so that a screen can tell a stored
reason in the operator's language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from syncd.errors import SyncdError, UnfitTables
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


# A node's database that holds rows is never restored over: it is put aside first, whatever it still has.
PUT_BACK = Both(
    "dừng chương trình đồng bộ; dời cơ sở dữ liệu ra chỗ khác, đừng xóa (SQLite: syncd.db cùng -wal và -shm;"
    " PostgreSQL: đổi tên nó, tạo cơ sở trống cùng tên, chạy lại câu lệnh SQL mà --print-roles của init in ra); rồi"
    " `[[syncd restore BẢN_SAO_LƯU]]` với bản sao lưu cuối; phần thiếu tự về từ các máy khác",
    "stop the daemon; put the database aside, do not delete it (SQLite: move syncd.db with its -wal and -shm;"
    " PostgreSQL: rename it, make an empty one of that name, run the SQL that init's --print-roles prints); then"
    " `[[syncd restore BACKUP]]` with the last backup; what it lacks comes back from the other nodes",
)
UNFIT = Cause(
    UnfitTables,
    Both(
        "một bảng hoặc cột của syncd không còn trong {place} ({why})",
        "a table or column of syncd is not in {place} any more ({why})",
    ),
    Both(
        "chương trình khác đã đổi tên hoặc xóa nó; [[syncd status]] nêu câu lệnh đổi lại, hoặc cách đặt lại từ bản sao"
        " lưu",
        "another program renamed or dropped it; [[syncd status]] names the statement that takes it back, or how a"
        " backup puts it back",
    ),
)
