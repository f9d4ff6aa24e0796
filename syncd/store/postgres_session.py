"""What a server, database, role or session may have set otherwise, so that our statements would mean something else:
pinned in every connection of ours, or refused with words.

Enters: a connection as psycopg opened it. Leaves: the same with known settings and a search_path of its own, or
ConfigError. Must hold: nothing of ours runs before the settings stand; no name in the daemon's statements is looked up
where somebody else may have put a function of that name.
"""

from __future__ import annotations

from typing import Any

from syncd import limits
from syncd.errors import ConfigError
from syncd.language import say

# By a role or database (ALTER … SET), the server's file, PGOPTIONS or the DSN: each of these, set otherwise, changes an
# answer, a row or the life of a transaction of ours.
PINNED = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
    "row_security": "off",  # a policy of somebody else's is an error, not fewer rows
    "xmlbinary": "base64",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "lock_timeout": f"{limits.LOCK_WAIT_S * 1000:.0f}ms",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "plpgsql.extra_errors": "none",
    "plpgsql.extra_warnings": "none",
}
PINNED_SINCE = {170000: {"transaction_timeout": "0"}}
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
VERSION_MIN = 150000
# The first minor release of each major one without holes through which a client may run code or crash the server:
# PostgreSQL's announcement of 14 May 2026 (CVE-2026-6473 and ten more).
HOLES_CLOSED = {15: 18, 16: 14, 17: 10, 18: 4}
_FIRST = "SET statement_timeout = 0; SET search_path = pg_catalog, pg_temp"
# Where our tables are; before they are made, where the session as configured would make them.
_HOMES = """
SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = 'syncd_meta' AND c.relkind = 'r'
ORDER BY n.nspname IS DISTINCT FROM $1::name, n.nspname = 'public' DESC, n.nspname
"""
# Whoever may put objects where our tables are, other than superusers, ourselves and those who may become us: a function
# whose arguments fit better than PostgreSQL's own would run with our rights.
_STRANGERS = """
SELECT 'PUBLIC' FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
WHERE n.nspname = ? AND a.grantee = 0 AND a.privilege_type = 'CREATE'
UNION ALL
SELECT r.rolname::text FROM pg_roles AS r
WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND r.rolname <> current_user
  AND NOT pg_has_role(r.oid, current_user::regrole, 'MEMBER') AND has_schema_privilege(r.oid, ?, 'CREATE')
ORDER BY 1 LIMIT ?
"""


def prepare(connection: Any) -> None:
    """Pin the settings of a new connection. Raises ConfigError for a server that cannot serve us as it is."""
    version = connection.info.server_version
    _require_version(version)
    _require_encoding(connection)
    configured = connection.execute("SELECT pg_catalog.current_schema(), pg_catalog.pg_backend_pid()").fetchone()
    connection.execute(_FIRST)
    _require_direct(connection, configured[1])
    pinned = dict(PINNED)
    for since, more in PINNED_SINCE.items():
        pinned |= more if version >= since else {}
    connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in pinned.items()))
    _fire_foreign_keys(connection)
    _set_home(connection, configured[0])
    _require_durable(connection)


def require_closed(tx: Any) -> None:
    """Raises ConfigError where others may create objects in the schema of our tables, or where this role may not apply.

    `tx`: a transaction of our store. Asked at start, not for every connection.
    """
    schema = tx.value("SELECT current_schema()::text")
    found = [row[0] for row in tx.all(_STRANGERS, (schema, schema, limits.STRANGERS_SHOWN_MAX))]
    if found:
        raise ConfigError(
            say(
                "vai trò khác ({roles}) được phép CREATE trong lược đồ {schema} của syncd: một hàm đặt ở đó có thể chạy"
                " với quyền của syncd",
                "other roles ({roles}) may CREATE in syncd's schema {schema}: a function put there could run with"
                " syncd's rights",
                roles=", ".join(found),
                schema=schema,
            ),
            say(
                "chạy: REVOKE CREATE ON SCHEMA {schema} FROM {roles}",
                "run: REVOKE CREATE ON SCHEMA {schema} FROM {roles}",
                schema=schema,
                roles=", ".join(found),
            ),
        )
    if not tx.value("SELECT has_parameter_privilege('session_replication_role', 'SET')"):
        role = tx.value("SELECT current_user::text")
        raise ConfigError(
            say(
                "vai trò {role} không được đặt session_replication_role, nên không áp dụng được gì",
                "the role {role} may not set session_replication_role, so that nothing can be applied",
                role=role,
            ),
            say(
                "chạy: GRANT SET ON PARAMETER session_replication_role TO {role}",
                "run: GRANT SET ON PARAMETER session_replication_role TO {role}",
                role=role,
            ),
        )


def known_holes(version: int) -> str | None:
    """The release to upgrade to ("15.18"), where this one (as 150004) has known security holes; None: it has none."""
    major, minor = divmod(version, 10000)
    closed = HOLES_CLOSED.get(major, 0)
    return f"{major}.{closed}" if minor < closed else None


def _require_version(version: int) -> None:
    if version < VERSION_MIN:
        raise ConfigError(
            say(
                "máy chủ là PostgreSQL {found}; syncd cần {least} trở lên",
                "the server is PostgreSQL {found}; syncd needs {least} or later",
                found=f"{version // 10000}.{version % 10000}",
                least=VERSION_MIN // 10000,
            ),
            say("nâng cấp máy chủ PostgreSQL", "upgrade the PostgreSQL server"),
        )


def _require_encoding(connection: Any) -> None:
    found = connection.info.parameter_status("server_encoding")
    if found != "UTF8":
        raise ConfigError(
            say(
                "cơ sở dữ liệu PostgreSQL dùng bảng mã {found}, không phải UTF8: tên tiếng Việt sẽ sai hoặc bị từ chối",
                "the PostgreSQL database is in encoding {found}, not UTF8: names would be wrong or refused",
                found=found,
            ),
            say(
                "tạo cơ sở dữ liệu khác: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'",
                "make another database: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'",
            ),
        )


def _require_direct(connection: Any, backend_pid: int) -> None:
    """A pooler gives each transaction another session: what was pinned would hold for somebody else."""
    if backend_pid != connection.info.backend_pid:
        raise ConfigError(
            say(
                "giữa syncd và PostgreSQL có bộ gộp kết nối (như PgBouncer), nên thiết lập của phiên không giữ được",
                "a connection pooler (such as PgBouncer) stands between syncd and PostgreSQL: settings of a session do"
                " not hold",
            ),
            say(
                "nêu địa chỉ và cổng của chính máy chủ trong `database` của syncd.toml",
                "name the server's own address and port in `database` of syncd.toml",
            ),
        )
    if connection.info.parameter_status("in_hot_standby") == "on":
        raise ConfigError(
            say(
                "máy chủ PostgreSQL này là bản sao chỉ đọc (standby)",
                "this PostgreSQL server is a standby, which cannot be written",
            ),
            say(
                "nêu máy chủ chính trong `database`, hoặc thêm target_session_attrs=read-write",
                "name the primary in `database`, or add target_session_attrs=read-write",
            ),
        )


def _fire_foreign_keys(connection: Any) -> None:
    """A role may have been given session_replication_role = replica, for a copy made long ago: then no foreign key
    holds. Set only where it differs."""
    if connection.execute("SELECT current_setting('session_replication_role')").fetchone()[0] != "origin":
        connection.execute("SET session_replication_role = origin")


def _set_home(connection: Any, configured: str | None) -> None:
    row = connection.execute(_HOMES.replace("$1", "%s"), (configured,)).fetchone()
    home = row[0] if row else configured or "public"
    quoted = '"' + home.replace('"', '""') + '"'
    connection.execute(f"SET search_path = {quoted}, pg_temp")
    if connection.execute("SELECT current_schema()").fetchone()[0] != home:
        raise ConfigError(
            say(
                "vai trò này không dùng được lược đồ {home} của PostgreSQL",
                "this role cannot use the PostgreSQL schema {home}",
                home=home,
            ),
            say(
                "chạy: CREATE SCHEMA IF NOT EXISTS {home}; GRANT USAGE, CREATE ON SCHEMA {home} TO …",
                "run: CREATE SCHEMA IF NOT EXISTS {home}; GRANT USAGE, CREATE ON SCHEMA {home} TO …",
                home=quoted,
            ),
        )


def _require_durable(connection: Any) -> None:
    for setting, wanted in DURABLE.items():
        row = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone()
        if row is None or row[0] not in (wanted, "remote_apply", "remote_write", "local"):
            raise ConfigError(
                say(
                    "PostgreSQL chạy với {setting}={found}: mất điện sẽ mất dữ liệu đã xác nhận",
                    "PostgreSQL runs with {setting}={found}: a power cut would lose acknowledged data",
                    setting=setting,
                    found=row[0] if row else "unknown",
                ),
                hint=say(
                    "đặt {setting} = {wanted} trong postgresql.conf rồi nạp lại",
                    "set {setting} = {wanted} in postgresql.conf and reload",
                    setting=setting,
                    wanted=wanted,
                ),
            )
