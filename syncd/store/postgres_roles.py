"""Roles of a PostgreSQL database, each with what it needs and no more: a script for its administrator, and the rights
on tables and views, which the owner gives as they are made.

Enters: the DSN of the node; later an open store. Leaves: SQL, the same whether printed or run; rights that were
lacking. Must hold: nobody but the owner may CREATE beside our tables; no password stands in the SQL; what is typed
reaches no log of the server.

    BASE_owner    owns schema objects; nobody logs in as it
    BASE_daemon   logs in for syncd, acts as the owner (`SET role`), alone may apply
    BASE_clerk    reads the register and writes it, through the triggers; granted to programs and persons
    BASE_reader   reads the views `v_…`, which hold figures, no persons
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from schema.names import quoted
from schema.spec import Kind, Registry
from syncd.errors import ConfigError
from syncd.language import say
from syncd.store.base import Store, Tx

OWNER, DAEMON, CLERK, READER = "_owner", "_daemon", "_clerk", "_reader"
# Settings that only a superuser may give: without them a failed statement's values are in the log. They stand with the
# database, as a login takes none from the groups it is in; the daemon's role has them too, before all it is given else.
SILENT = {
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_min_error_statement": "panic",
    "log_transaction_sample_rate": "0",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_lock_waits": "off",
}
# What a clerk's program reads beside the register: where it stands, what the codes mean, what was wished and decided.
READ_BY_CLERKS = ("unit", "code", "proposal", "verdict", "resolution", "person_link")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Names of the roles of one database."""

    base: str
    database: str
    daemon: str

    @property
    def owner(self) -> str:
        return self.base + OWNER

    @property
    def clerk(self) -> str:
        return self.base + CLERK

    @property
    def reader(self) -> str:
        return self.base + READER


def roles_of(dsn: str) -> Roles:
    """The roles for a node of this DSN: its user is the daemon's role. Raises ConfigError where it names none."""
    found = _read(dsn)
    user, database = str(found.get("user") or ""), str(found.get("dbname") or "")
    if not user or not database:
        raise ConfigError(
            say(
                "địa chỉ cơ sở dữ liệu không nêu vai trò và tên cơ sở dữ liệu",
                "the DSN names no role and database",
            ),
            say(
                "ghi rõ, thí dụ: --database postgresql://syncd_daemon@máy/syncd",
                "name both, for example: --database postgresql://syncd_daemon@host/syncd",
            ),
        )
    return Roles(base=user.removesuffix(DAEMON), database=database, daemon=user)


def without_password(dsn: str, passfile: str) -> tuple[str, str]:
    """The DSN with a file to look the password up in, and the lines of that file; none where there is no password. They
    are good for the places that the DSN names alone; a socket is called otherwise there, so it stands as any."""
    found = _read(dsn)
    password = found.pop("password", None)
    if password is None:
        return dsn, ""
    hosts = (found.get("host") or found.get("hostaddr") or "").split(",")
    ports = (found.get("port") or "").split(",")
    places = zip(hosts, ports if len(ports) == len(hosts) else ports[:1] * len(hosts), strict=True)
    rest = (found.get("dbname", ""), found.get("user", ""))
    lines = [_passfile_line("" if host[:1] in "/@" else host, port, *rest, password) for host, port in places]
    dsn = f"postgresql://?{urlencode({**found, 'passfile': passfile}, quote_via=quote)}"
    return dsn, "".join(dict.fromkeys(lines))


def _passfile_line(*fields: str) -> str:
    return ":".join(field.replace("\\", "\\\\").replace(":", "\\:") or "*" for field in fields) + "\n"


def _read(dsn: str) -> dict[str, str]:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        return {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.ProgrammingError as error:  # it would quote the whole DSN
        raise ConfigError(
            say("địa chỉ cơ sở dữ liệu PostgreSQL sai dạng", "the DSN of PostgreSQL is malformed"),
            say(
                "dạng đúng: postgresql://vai_trò@máy:cổng/cơ_sở_dữ_liệu",
                "it should be postgresql://role@host:port/database",
            ),
        ) from error


def require_rights(dsn: str) -> None:
    """Raises ConfigError where the role of this DSN cannot make our tables or cannot apply."""
    from syncd.store.postgres import connect

    with contextlib.closing(connect(dsn)) as connection:
        row = connection.execute(_RIGHTS).fetchone()
    if row is not None and all(row[1:]):
        return
    raise ConfigError(
        say(
            "vai trò {role} chưa đủ quyền trên cơ sở dữ liệu này",
            "the role {role} lacks rights in this database",
            role=row[0] if row else "–",
        ),
        say(
            "gửi người quản trị kết quả của lệnh này kèm --print-roles, hoặc thêm --make-roles và địa chỉ của quản trị"
            " viên",
            "send the administrator what this command prints with --print-roles, or add --make-roles and the"
            " administrator's DSN",
        ),
    )


_RIGHTS = """
SELECT current_user::text, pg_catalog.has_schema_privilege(pg_catalog.current_schema(), 'CREATE'),
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY'),
  pg_catalog.has_parameter_privilege('session_replication_role', 'SET')
"""


def script(roles: Roles) -> str:
    """What the administrator runs once, connected to the database: a second time it changes nothing."""
    owner, daemon, clerk, reader, database = (
        quoted(name) for name in (roles.owner, roles.daemon, roles.clerk, roles.reader, roles.database)
    )
    silent = [
        f"ALTER {whose} SET {setting} = '{value}';"
        for whose in (f"DATABASE {database}", f"ROLE {daemon} IN DATABASE {database}")
        for setting, value in SILENT.items()
    ]
    return "\n".join(
        [
            *(_created(name, "NOLOGIN") for name in (roles.owner, roles.clerk, roles.reader)),
            _created(roles.daemon, "LOGIN"),
            f"GRANT {owner} TO {daemon};",
            "-- Whatever the daemon makes belongs to the owner.",
            f"ALTER ROLE {daemon} IN DATABASE {database} SET role = {owner};",
            f"GRANT SET ON PARAMETER session_replication_role TO {owner}, {daemon};",
            "-- Nobody else may put a function or a table beside ours.",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
            f"GRANT USAGE, CREATE ON SCHEMA public TO {owner};",
            f"GRANT USAGE ON SCHEMA public TO {clerk}, {reader};",
            f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {owner}, {daemon};",
            f"GRANT CONNECT ON DATABASE {database} TO {clerk}, {reader};",
            "-- No value of a citizen in the server's log, also not of a statement that fails.",
            *silent,
            f"-- Next: \\password {daemon} (or a certificate, or peer); then GRANT {clerk} TO each program that writes,"
            f" GRANT {reader} TO each that reads figures.",
            "",
        ]
    )


def _created(name: str, kind: str) -> str:
    literal = name.replace("'", "''")
    return (
        f"DO $syncd$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = '{literal}')"
        f" THEN CREATE ROLE {quoted(name)} {kind}; END IF; END $syncd$;"
    )


def make(admin_dsn: str, roles: Roles) -> None:
    """Run the script as the administrator. Raises ConfigError where it may not, or is connected elsewhere."""
    import psycopg

    from syncd.store.postgres import connect

    with contextlib.closing(connect(admin_dsn)) as connection:
        found = connection.info.dbname
        if found != roles.database:
            raise ConfigError(
                say(
                    "quản trị viên nối vào cơ sở dữ liệu {found}, không phải {wanted}",
                    "the administrator is connected to the database {found}, not to {wanted}",
                    found=found,
                    wanted=roles.database,
                ),
                say("nêu đúng cơ sở dữ liệu ở cả hai địa chỉ", "name the same database in both"),
            )
        try:
            with connection.transaction():
                connection.execute(script(roles).encode())
        except psycopg.Error as error:
            raise ConfigError(
                say(
                    "không lập được vai trò (mã {state})", "the roles could not be made (code {state})",
                    state=error.sqlstate or "–",
                ),
                say(
                    "cần quyền superuser; hoặc gửi người quản trị kết quả của --print-roles",
                    "a superuser is needed; or send the administrator what --print-roles prints",
                ),
            ) from error  # fmt: skip


def give_rights(store: Store) -> int:
    """Give clerks and readers what they lack on tables and views that are there now; returns how many rights. To be
    called when tables were made and when a daemon starts: views made in between are found then."""
    if store.dialect == "sqlite":
        return 0
    with store.read() as tx:
        lacking = _lacking(tx, store.registry)
    if lacking:
        with store.apply("rights") as tx:
            for relation, right, role in lacking:
                tx.run(f"GRANT {right} ON {quoted(relation)} TO {quoted(role)}")
    return len(lacking)


# Roles that go with the one whose objects these are; none where an administrator has made others.
_LACKING = """
SELECT c.relname::text, w.privilege, r.rolname::text
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = pg_catalog.current_schema()
CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS w (privilege)
JOIN pg_catalog.pg_roles AS r ON r.rolname IN (?, ?)
WHERE c.relkind IN ('r', 'v', 'p') AND pg_catalog.pg_get_userbyid(c.relowner) = current_user
  AND NOT pg_catalog.has_table_privilege(r.oid, c.oid, w.privilege)
ORDER BY 1, 2, 3
"""


def _lacking(tx: Tx, registry: Registry) -> list[tuple[str, str, str]]:
    owner = str(tx.value("SELECT current_user::text"))
    if not owner.endswith(OWNER):
        return []
    base = owner.removesuffix(OWNER)
    registers = {table.name for table in registry.tables if table.kind is Kind.REGISTER}

    def is_meant(relation: str, right: str, role: str) -> bool:
        if relation.startswith("v_"):
            return right == "SELECT"
        if role.endswith(READER):
            return False
        if relation in registers:
            return True
        return right == "SELECT" and (relation in READ_BY_CLERKS or relation.endswith("_with_pending"))

    return [tuple(row) for row in tx.all(_LACKING, (base + CLERK, base + READER)) if is_meant(*row)]
