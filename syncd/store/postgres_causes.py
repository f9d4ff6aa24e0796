"""Why PostgreSQL refuses, by the server's own codes (SQLSTATE), and what to do about each.

Enters: nothing. Leaves: causes by code. Must hold: no driver is imported here, so that a screen can tell a stored
reason in the operator's language.
"""

from __future__ import annotations

from syncd.errors import DatabaseLocked, DatabaseUnreachable, DiskFull, PermissionDenied, StoreError, TemporaryError
from syncd.language import Both
from syncd.store.causes import UNFIT, Cause

_AGAIN = Both("syncd tự thử lại", "syncd tries again by itself")
NO_SPACE = Cause(
    DiskFull,
    Both("PostgreSQL hết chỗ trên đĩa ({why})", "PostgreSQL has no space left ({why})"),
    Both("giải phóng đĩa; không mất gì đã ghi nhận", "free disk space; nothing acknowledged is lost"),
)
SHORT = Cause(
    TemporaryError,
    Both("PostgreSQL thiếu tài nguyên ({why})", "PostgreSQL is short of something it needs ({why})"),
    Both(
        "xem bộ nhớ, max_connections và max_locks_per_transaction của máy chủ; syncd tự thử lại",
        "see the server's memory, max_connections and max_locks_per_transaction; syncd tries again by itself",
    ),
)
LOCKED = Cause(
    DatabaseLocked,
    Both("PostgreSQL: giao dịch khác đang giữ bản ghi ({why})", "PostgreSQL: another transaction holds rows ({why})"),
    _AGAIN,
)
BROKEN_OFF = Cause(
    DatabaseUnreachable,
    Both("PostgreSQL bị ngắt ({why})", "PostgreSQL broke off ({why})"),
    Both("syncd tự kết nối lại; xem nhật ký máy chủ", "syncd reconnects by itself; see the server's log"),
)
NOT_ALLOWED = Cause(
    PermissionDenied,
    Both("PostgreSQL không cho phép ({why})", "PostgreSQL does not permit it ({why})"),
    Both(
        "cấp quyền cho vai trò của syncd (GRANT), hoặc trả các bảng về đúng chủ",
        "grant it to syncd's role (GRANT), or give the tables back to their owner",
    ),
)
READ_ONLY = Cause(
    TemporaryError,
    Both("PostgreSQL chỉ cho đọc ({why})", "PostgreSQL takes no writes ({why})"),
    Both(
        "máy chủ này là bản dự phòng, hoặc đang ở chế độ chỉ đọc: sửa `database` trong syncd.toml, hoặc cho ghi lại",
        "this server is a standby, or set read-only: correct `database` in syncd.toml, or allow writes again",
    ),
)
HARMED = Cause(
    StoreError,
    Both("dữ liệu của PostgreSQL bị hỏng ({why})", "PostgreSQL's data is damaged ({why})"),
    Both(
        "kiểm tra đĩa và nhật ký máy chủ; dựng lại chỉ mục (REINDEX) hoặc khôi phục bản sao lưu cuối",
        "check the disk and the server's log; build the index anew (REINDEX), or restore the last backup",
    ),
)
REFUSED = Cause(
    StoreError,
    Both("PostgreSQL từ chối một giá trị hoặc câu lệnh ({why})", "PostgreSQL refuses a value or a statement ({why})"),
    Both(
        "xem bảng, ràng buộc, trigger hoặc hàm nêu trên; nhật ký máy chủ có câu lệnh đó",
        "see the table, constraint, trigger or function named; the server's log has the statement",
    ),
)
CAUSES = (NO_SPACE, SHORT, LOCKED, BROKEN_OFF, NOT_ALLOWED, READ_ONLY, HARMED, REFUSED)
# By SQLSTATE: the whole code first, then its class.
BY_CODE = {
    "53100": NO_SPACE, "55P03": LOCKED, "57014": LOCKED, "42501": NOT_ALLOWED, "25006": READ_ONLY, "25P03": BROKEN_OFF,
    "25P04": BROKEN_OFF, "42P01": UNFIT, "42703": UNFIT, "XX001": HARMED,
    "XX002": HARMED,
}  # fmt: skip
BY_CLASS = {"53": SHORT, "40": LOCKED, "55": LOCKED, "57": BROKEN_OFF, "08": BROKEN_OFF, "58": HARMED, "28": BROKEN_OFF}
