"""Without a connection there are words alone: they are told with what helps, and a stored reason in both languages."""

import psycopg
import pytest

from syncd.cli.reasons import told_text
from syncd.errors import DatabaseUnreachable, written
from syncd.store.postgres_errors import unreached

AT = 'connection failed: connection to server at "10.0.0.5", port 5432 failed: '
CASES = {
    "nobody": (AT + "Connection refused\n\tIs the server running on that host?", "khởi động máy chủ"),
    "timeout": ("connection timeout expired", "khởi động máy chủ"),
    "role": (AT + 'FATAL:  role "syncd_daemon" does not exist', "--print-roles"),
    "no login": (AT + 'FATAL:  role "syncd_owner" is not permitted to log in', "--print-roles"),
    "database": (AT + 'FATAL:  database "syncd" does not exist', "createdb"),
    "password": (AT + 'FATAL:  password authentication failed for user "syncd_daemon"', "pgpass"),
    "no password": (AT + "fe_sendauth: no password supplied", "pgpass"),
    "hba": (AT + 'FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "x", no encryption', "pg_hba.conf"),
    "peer": (AT + 'FATAL:  Peer authentication failed for user "syncd_daemon"', "pg_hba.conf"),
    "no right to connect": (AT + 'FATAL:  permission denied for database "syncd"', "GRANT CONNECT"),
    "closed database": (AT + 'FATAL:  database "syncd" is not currently accepting connections', "ALLOW_CONNECTIONS"),
    "ended meanwhile": (AT + "SSL SYSCALL error: EOF detected", "khởi động máy chủ"),
    "gone meanwhile": (AT + "server closed the connection unexpectedly", "khởi động máy chủ"),
    "full": (AT + "FATAL:  sorry, too many clients already", "max_connections"),
    "reserved": (AT + "FATAL:  remaining connection slots are reserved for roles with …", "max_connections"),
    "starting": (AT + "FATAL:  the database system is starting up", "chờ một lúc"),
    "stopping": (AT + "FATAL:  the database system is shutting down", "chờ một lúc"),
    "name": ("failed to resolve host 'tinh.local': [Errno -2] Name or service not known", "DNS"),
    "tls": (AT + "server does not support SSL, but SSL was required", "sslmode"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "remedy"), CASES.values(), ids=CASES)
def test_a_server_that_does_not_let_us_in_is_told_with_what_helps(
    words: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    found = unreached(psycopg.OperationalError(words))
    assert isinstance(found, DatabaseUnreachable)
    assert remedy in str(found)
    assert words.split("\n")[0] in str(found)
    assert told_text(written(found)) == str(found)  # as the screen shows what a daemon has stored
