"""Why there is no connection to PostgreSQL: whether the server does not answer, or answers and does not let us in.

Enters: nothing. Leaves: causes, with what the client library says of each. Must hold: no driver is imported here. Until
there is a connection there is no code, only words, which a server may speak in another language: then the first cause.
"""

from __future__ import annotations

import re

from syncd.errors import DatabaseUnreachable
from syncd.language import Both
from syncd.store.causes import Cause


def _cause(vi: str, en: str, remedy_vi: str, remedy_en: str) -> Cause:
    return Cause(DatabaseUnreachable, Both(vi + ": {error}", en + ": {error}"), Both(remedy_vi, remedy_en))


SILENT = _cause(
    "PostgreSQL không trả lời", "PostgreSQL does not answer",
    "khởi động máy chủ hoặc sửa `database` trong syncd.toml", "start the server or correct `database` in syncd.toml",
)  # fmt: skip
NO_ROLE = _cause(
    "PostgreSQL chưa có vai trò (tài khoản) này", "PostgreSQL has no such role",
    "người quản trị tạo các vai trò: thêm --print-roles vào lệnh init hoặc join để in câu lệnh SQL, hoặc --make-roles;"
    " hoặc sửa `database`",
    "the administrator makes the roles: add --print-roles to init or join for the SQL, or --make-roles; or correct"
    " `database`",
)  # fmt: skip
NO_DATABASE = _cause(
    "PostgreSQL chưa có cơ sở dữ liệu này", "PostgreSQL has no such database",
    "người quản trị tạo nó (createdb TÊN), hoặc sửa `database`",
    "the administrator makes it (createdb NAME), or correct `database`",
)  # fmt: skip
PASSWORD = _cause(
    "PostgreSQL không nhận mật khẩu", "PostgreSQL does not accept the password",
    "đặt đúng mật khẩu: tệp pgpass trong thư mục của máy, PGPASSFILE hoặc tệp service",
    "give the right one: the file pgpass in the node's directory, PGPASSFILE or a service file",
)  # fmt: skip
NOT_ADMITTED = _cause(
    "PostgreSQL không cho tài khoản này vào từ máy này", "PostgreSQL does not admit this account from this machine",
    "thêm một dòng vào pg_hba.conf của máy chủ rồi nạp lại (pg_ctl reload), hoặc sửa `database`",
    "add a line to the server's pg_hba.conf and reload it (pg_ctl reload), or correct `database`",
)  # fmt: skip
CLOSED = _cause(
    "PostgreSQL không cho tài khoản này vào cơ sở dữ liệu", "PostgreSQL does not admit this account to the database",
    "người quản trị cho phép: GRANT CONNECT ON DATABASE TÊN TO TÀI_KHOẢN, ALTER DATABASE TÊN ALLOW_CONNECTIONS true;"
    " hoặc sửa `database`",
    "the administrator allows it: GRANT CONNECT ON DATABASE NAME TO ACCOUNT, ALTER DATABASE NAME ALLOW_CONNECTIONS"
    " true; or correct `database`",
)  # fmt: skip
CROWDED = _cause(
    "PostgreSQL hết chỗ cho kết nối mới", "PostgreSQL has no room for another connection",
    "đóng bớt kết nối khác, hoặc tăng max_connections; một lúc sau thử lại",
    "close other connections, or raise max_connections; try again in a while",
)  # fmt: skip
COMING = _cause(
    "PostgreSQL đang khởi động, dừng hoặc phục hồi", "PostgreSQL is starting, stopping or recovering",
    "chờ một lúc; nếu vẫn vậy, xem nhật ký máy chủ", "wait a while; if it stays so, see the server's log",
)  # fmt: skip
NO_NAME = _cause(
    "không tìm ra máy chủ PostgreSQL theo tên", "the PostgreSQL server's name is not known",
    "kiểm tra mạng và DNS, hoặc sửa tên trong `database`",
    "check the network and DNS, or correct the name in `database`",
)  # fmt: skip
TLS = _cause(
    "PostgreSQL và máy này không thống nhất được TLS", "PostgreSQL and this machine do not agree on TLS",
    "sửa sslmode, sslrootcert trong `database`, hoặc bật ssl ở máy chủ",
    "correct sslmode, sslrootcert in `database`, or switch ssl on at the server",
)  # fmt: skip

SAID = (
    (re.compile(r"SSL SYSCALL|closed the connection unexpectedly|[Cc]onnection reset by peer"), SILENT),
    (re.compile(r'role "[^"]*" does not exist|role "[^"]*" is not permitted to log in'), NO_ROLE),
    (re.compile(r'database "[^"]*" does not exist'), NO_DATABASE),
    (re.compile(r"password authentication failed|no password supplied|SCRAM|password retrieved from"), PASSWORD),
    (re.compile(r"pg_hba\.conf|(Peer|Ident|GSSAPI|LDAP|certificate) authentication failed"), NOT_ADMITTED),
    (re.compile(r"permission denied for database|is not currently accepting connections"), CLOSED),
    (re.compile(r"too many (clients|connections)|connection slots"), CROWDED),
    (re.compile(r"the database system is|not (yet )?accepting connections"), COMING),
    (re.compile(r"could not translate host name|failed to resolve|Name or service not known"), NO_NAME),
    (re.compile(r"SSL|certificate|TLS"), TLS),
)  # fmt: skip
CAUSES = tuple(cause for _, cause in SAID)


def unreached_cause(words: str) -> Cause:
    """The cause that the client library's words tell of; that nobody answers where they tell of none."""
    return next((cause for said, cause in SAID if said.search(words)), SILENT)
