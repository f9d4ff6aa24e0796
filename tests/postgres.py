"""A real PostgreSQL for tests and benchmarks, on any machine.

In: ``SYNCD_TEST_POSTGRES_DSN`` names a running server; without it one is started from ``tests.postgres_binaries``.
Out: ``PostgresServer``, which creates databases and hands out their DSN as a libpq URI ``postgresql://...``.
Must hold: version 15 or later; fsync on; a server started here listens on a Unix socket only its owner reaches, never
runs as root, and ends with ``stop()`` or with the process that started it, however that ends. No pytest in this file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests import leftovers
from tests.memory import in_memory
from tests.postgres_binaries import (
    DSN_VARIABLE,
    REMEDY,
    VERSION_MIN,
    Binaries,
    PostgresUnavailable,
    find_binaries,
    find_every_binaries,
)

SPARE = "syncd_spare_"  # empty databases that nobody needed after all
_SPARES = f"SELECT datname FROM pg_database WHERE starts_with(datname::text, '{SPARE}')"
UNWANTED_MAX = 12  # some 10 MB each
START_S_MAX = 300.0
STOP_S_MAX = 300.0
POLL_S = 0.05
LOG_CHARS_MAX = 4_000
# Not $TMPDIR: a socket's path must stay under 104 characters, and its folders must be searchable.
SCRATCH_IN = Path("/tmp")
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")

# Ends the server when the starter's end of the pipe closes without a word, as after SIGKILL.
# $1 is the data folder, $2 and $3 the scratch folders.
GUARD = """
read -r word && exit 0
for i in 1 2 3 4 5 6 7 8 9 10; do [ -s "$1/postmaster.pid" ] && break; sleep 1; done  # it may be starting
kill -INT "$(head -n 1 "$1/postmaster.pid")"
for i in 1 2 3 4 5 6 7 8 9 10; do [ -e "$1/postmaster.pid" ] || break; sleep 1; done
rm -rf "$2" "$3"
"""
# Of a server in memory: its log of changes is written anew instead of growing to a gigabyte.
SMALL_LOG = {"max_wal_size": "128MB", "min_wal_size": "32MB"}


class PostgresServer:
    """A running server: started here (``start``) or somebody else's (``attach``). Usable as a context manager."""

    def __init__(self, *, admin_dsn: str, origin: str, cluster: Cluster | None) -> None:
        self.admin_dsn = admin_dsn
        self.origin = origin
        self._cluster = cluster
        self._unwanted: list[str] = []
        with self._admin() as connection:
            self.version = str(connection.info.parameter_status("server_version"))
            _check_server(connection, origin)

    @classmethod
    def start(
        cls,
        data_dir: Path | None = None,
        config: Mapping[str, str | int] | None = None,
        binaries: Binaries | None = None,
        scratch_in: Path = SCRATCH_IN,
    ) -> PostgresServer:
        """Start a server on ``data_dir`` (created when missing, kept afterwards; None: a temporary one).

        The temporary one is made in ``scratch_in``. ``config`` holds settings of postgresql.conf by name.
        Raises PostgresUnavailable, ValueError for a setting that would make commits less than durable.
        """
        found = binaries or find_binaries()
        cluster = Cluster(found, data_dir, config or {}, scratch_in)
        try:
            cluster.launch()
            return cls(admin_dsn=cluster.admin_dsn, origin=f"{found.origin}, {found.folder}", cluster=cluster)
        except BaseException:
            cluster.stop()
            raise

    @classmethod
    def attach(cls, dsn: str) -> PostgresServer:
        """Use a running server; its account must be allowed to create databases. Raises PostgresUnavailable."""
        try:
            return cls(admin_dsn=uri(conninfo_to_dict(dsn)), origin=DSN_VARIABLE, cluster=None)
        except psycopg.Error as error:
            raise PostgresUnavailable(f"The server in {DSN_VARIABLE} does not answer: {error}\n{REMEDY}") from error

    @property
    def pid(self) -> int:
        """Process id of a server started here."""
        return self._own.pid

    @property
    def data_dir(self) -> Path:
        """Data folder of a server started here."""
        return self._own.data_dir

    def create_database(self, name: str | None = None, encoding: str = "UTF8", locale: str = "C") -> str:
        """Create an empty database (UTF-8 and bytewise order unless said otherwise) and return its DSN."""
        name = name or f"syncd_test_{uuid.uuid4().hex[:16]}"
        with self._admin() as connection:
            if (encoding, locale) == ("UTF8", "C") and _take_spare(connection, name):
                return self.dsn(name)
            connection.execute(
                sql.SQL(
                    "CREATE DATABASE {} TEMPLATE template0 STRATEGY file_copy"
                    " ENCODING {} LOCALE_PROVIDER libc LOCALE {}"
                ).format(sql.Identifier(name), sql.Literal(encoding), sql.Literal(locale))
            )
        return self.dsn(name)

    def drop_database(self, dsn: str, *, at_once: bool = False) -> None:
        """Drop the database that ``dsn`` names, and whoever is still connected to it: with some others, for each time
        the server writes down all it has in memory; `at_once` where its roles are to go too."""
        self._unwanted.append(str(conninfo_to_dict(dsn)["dbname"]))
        if at_once or len(self._unwanted) >= UNWANTED_MAX:
            self._drop_unwanted()

    @contextlib.contextmanager
    def databases(self, nodes: Iterable[str]) -> Iterator[dict[str, str]]:
        """Node → DSN of an empty database of its own, dropped afterwards."""
        dsns = {node: self.create_database() for node in nodes}
        yield dsns
        for dsn in dsns.values():
            self.drop_database(dsn)

    def _drop_unwanted(self) -> None:
        with self._admin() as connection:
            while self._unwanted:
                name = sql.Identifier(self._unwanted.pop())
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def dsn(self, database: str) -> str:
        """The libpq URI of a database of this server."""
        return uri(conninfo_to_dict(self.admin_dsn, dbname=database))

    def crash(self) -> None:
        """End a server started here at once, without a checkpoint, as a power cut would."""
        self._own.end(signal.SIGQUIT)

    def recover(self) -> None:
        """Start it again on the same folder; every DSN stays valid."""
        self._own.launch()

    def stop(self) -> None:
        """End a server started here, connections included. Nothing happens on a second call or to somebody else's."""
        if self._cluster:
            self._cluster.stop()
        else:
            with self._admin() as connection:
                self._unwanted += [str(row[0]) for row in connection.execute(_SPARES)]
            self._drop_unwanted()

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _own(self) -> Cluster:
        if self._cluster is None:
            raise ValueError(f"the server in {DSN_VARIABLE} is not ours; start one with PostgresServer.start()")
        return self._cluster

    @contextlib.contextmanager
    def _admin(self) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        with contextlib.closing(psycopg.connect(self.admin_dsn, autocommit=True, connect_timeout=60)) as connection:
            yield connection


class PostgresMix:
    """Servers of every major version at once: the nodes of one tree stand on them in turn, as tiers that are upgraded
    one after another do. `first`: where the turn begins, so that every node of a shape meets each in some test."""

    def __init__(self, servers: Sequence[PostgresServer], first: int) -> None:
        self._turn = [servers[(first + place) % len(servers)] for place in range(len(servers))]

    @contextlib.contextmanager
    def databases(self, nodes: Iterable[str]) -> Iterator[dict[str, str]]:
        """Node → DSN of an empty database of its own, dropped afterwards."""
        placed = list(zip(nodes, cycle(self._turn), strict=False))
        dsns = {node: server.create_database() for node, server in placed}
        yield dsns
        for node, server in placed:
            server.drop_database(dsns[node])


def copy_database(dsn: str, like: str) -> None:
    """Make the database of this DSN, which is empty or not there, a copy of the one called `like` on its server, to
    which nobody is connected; the empty one is left to whoever needs the next."""
    name = str(conninfo_to_dict(dsn)["dbname"])
    admin = make_conninfo(dsn, dbname="postgres")
    with contextlib.closing(psycopg.connect(admin, autocommit=True)) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            _rename(connection, name, SPARE + uuid.uuid4().hex[:16])
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(like)
            )
        )


def _take_spare(connection: psycopg.Connection[Any], name: str) -> bool:
    found = connection.execute(_SPARES).fetchone()
    if found is not None:
        _rename(connection, str(found[0]), name)
    return found is not None


def _rename(connection: psycopg.Connection[Any], before: str, after: str) -> None:
    connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(before), sql.Identifier(after)))


def open_server(binaries: Binaries | None = None) -> PostgresServer:
    """A server for tests: the one named in the environment, or a temporary one, in memory where there is room.

    `binaries`: of which installation, where several were found. Raises PostgresUnavailable.
    """
    dsn = os.environ.get(DSN_VARIABLE)
    if dsn:
        return PostgresServer.attach(dsn)
    memory = in_memory()
    if memory is None:
        return PostgresServer.start(binaries=binaries)
    return PostgresServer.start(config=SMALL_LOG, binaries=binaries, scratch_in=memory)


def sources() -> list[Binaries | None]:
    """What `open_server` is to be called with so that every major version found is used; starts nothing. None: the
    server named in the environment. Raises PostgresUnavailable.
    """
    return [None] if os.environ.get(DSN_VARIABLE) else [*find_every_binaries()]


def describe_sources() -> list[str]:
    """A line on every server the tests use, or why there is none; starts nothing."""
    dsn = os.environ.get(DSN_VARIABLE)
    try:
        if dsn:
            return [f"PostgreSQL {PostgresServer.attach(dsn).version} ({DSN_VARIABLE})"]
        account = _server_account().name
        return [
            f"PostgreSQL {found.version} ({found.origin}, {found.folder}), run as {account}"
            for found in find_every_binaries()
        ]
    except PostgresUnavailable as error:
        return [f"PostgreSQL: none. {error}"]


def uri(params: Mapping[str, object]) -> str:
    """A libpq URI from connection parameters; a socket folder or a list of hosts goes into the query."""
    rest = {name: str(value) for name, value in params.items() if value is not None}
    database, user, password = rest.pop("dbname", ""), rest.pop("user", ""), rest.pop("password", "")
    authority = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "") + ("@" if user else "")
    host = rest.get("host", "")
    if host and not set(host) & set("/,:@"):
        port = rest.pop("port", "")
        authority += rest.pop("host") + (f":{port}" if port else "")
    query = urlencode(rest, quote_via=quote, safe="")
    return f"postgresql://{authority}/{quote(database, safe='')}" + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account a server runs as: uid and gid are None for our own, set when we are root, which postgres refuses."""

    name: str
    uid: int | None = None
    gid: int | None = None


class Cluster:
    """The processes and folders of one server started here."""

    def __init__(
        self, binaries: Binaries, data_dir: Path | None, config: Mapping[str, str | int], data_in: Path
    ) -> None:
        _check_config(config)
        self._config = config
        self._account = _server_account()
        # Sockets, and programs that may have to be copied, are never in memory: that may be mounted without execution.
        self._scratch = _make_scratch(self._account, SCRATCH_IN)
        self._data_scratch = self._scratch if data_in == SCRATCH_IN else _make_scratch(self._account, data_in)
        self._process: subprocess.Popen[bytes] | None = None
        self.admin_dsn = uri({"host": str(self._scratch), "user": "postgres", "dbname": "postgres"})
        try:
            self._folder = _reachable_folder(binaries.folder, self._scratch, self._account)
            self.data_dir = _prepare_data(self._folder, data_dir or self._data_scratch / "data", self._account)
            self._guard = _spawn_guard(self.data_dir, self._scratch, self._data_scratch)
        except BaseException:
            self._remove_scratch()
            raise

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise ValueError(f"the server of {self.data_dir} does not run")
        return self._process.pid

    def launch(self) -> None:
        """Start the server and return when it answers, recovery included. Raises PostgresUnavailable."""
        self._process = process = _spawn(self._folder, self.data_dir, self._scratch, self._account, self._config)
        deadline_s = time.monotonic() + START_S_MAX
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(POLL_S)
                raise PostgresUnavailable(f"PostgreSQL ended at its start with code {code}:\n{self._log_tail()}")
            try:
                psycopg.connect(self.admin_dsn, connect_timeout=60).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline_s:
                    text = f"PostgreSQL does not answer after {START_S_MAX:.0f} s: {error}\n{self._log_tail()}"
                    raise PostgresUnavailable(text) from error

    def end(self, how: signal.Signals) -> None:
        """Send ``how`` (SIGINT: fast shutdown, SIGQUIT: at once) and wait for the end."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(STOP_S_MAX)
            self._process = None

    def stop(self) -> None:
        """End the server and remove what was temporary. A server that does not end is left to the guard."""
        self.end(signal.SIGINT)
        if self._guard.poll() is None:
            self._guard.communicate(b"stopped\n", timeout=STOP_S_MAX)
            self._remove_scratch()

    def _remove_scratch(self) -> None:
        for folder in {self._scratch, self._data_scratch}:
            shutil.rmtree(folder)

    def _log_tail(self) -> str:
        return (self._scratch / "log").read_text(errors="replace")[-LOG_CHARS_MAX:]


def _check_server(connection: psycopg.Connection[tuple[object, ...]], origin: str) -> None:
    if connection.info.server_version < VERSION_MIN * 10_000:
        version = connection.info.parameter_status("server_version")
        raise PostgresUnavailable(f"{origin} is PostgreSQL {version}; {VERSION_MIN} or later is needed. {REMEDY}")
    for name in DURABLE:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
        if row is None or row[0] == "off":
            raise PostgresUnavailable(f"{origin} runs with {name}=off; tests and benchmarks need durable commits.")


def _check_config(config: Mapping[str, str | int]) -> None:
    for name in DURABLE:
        if str(config.get(name, "on")) != "on":
            raise ValueError(f"{name}={config[name]} refused: tests and benchmarks run with durable commits only")


def _server_account() -> Account:
    import pwd  # not on Windows, where this file still serves to attach to a server

    if os.geteuid() != 0:
        return Account(name=f"uid {os.geteuid()}")
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise PostgresUnavailable(
        "PostgreSQL refuses to run as root and this machine has neither an account postgres nor nobody. "
        f"Remedy: run the tests as an ordinary user, or name a running server in {DSN_VARIABLE}."
    )


def _make_scratch(account: Account, parent: Path) -> Path:
    scratch = Path(tempfile.mkdtemp(prefix="syncd-pg-", dir=parent))
    _give(scratch, account)
    return scratch


def _give(path: Path, account: Account) -> None:
    if account.uid is not None and account.gid is not None:
        os.chown(path, account.uid, account.gid)


def _reachable_folder(folder: Path, scratch: Path, account: Account) -> Path:
    """The binaries where ``account`` can run them: in place, or copied when they lie below a private home."""
    try:
        _run_as(account, [str(folder / "postgres"), "--version"])
    except (OSError, subprocess.CalledProcessError):
        return _copy_install(folder.parent, scratch / "install") / folder.name
    return folder


def _copy_install(install: Path, target: Path) -> Path:
    # A wheel's programs look for their libraries beside the package: the copy keeps the places relative to each other.
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name)
    return shutil.copytree(install, target / package.name / install.name, symlinks=True)


def _prepare_data(folder: Path, data_dir: Path, account: Account) -> Path:
    data_dir = data_dir.absolute()
    data_dir.mkdir(mode=0o700, exist_ok=True)
    if (data_dir / "PG_VERSION").exists():
        return data_dir
    _give(data_dir, account)
    data_dir.chmod(0o700)
    # --no-sync spares a second: only a power cut during the set-up could tell the difference. The server itself syncs.
    command = [str(folder / "initdb"), "-D", str(data_dir), "-U", "postgres", "--auth=trust", "--no-sync"]
    try:
        _run_as(account, [*command, "--encoding=UTF8", "--locale=C"])
    except (OSError, subprocess.CalledProcessError) as error:
        said = (
            error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else f"{error}\n"
        )
        raise PostgresUnavailable(
            f"initdb failed for {data_dir} as account {account.name}:\n{said}"
            "Remedy: every folder above it, / too, must be searchable by that account, and the disk must have room."
        ) from error
    return data_dir


def _spawn(
    folder: Path, data_dir: Path, scratch: Path, account: Account, config: Mapping[str, str | int]
) -> subprocess.Popen[bytes]:
    settings = {"listen_addresses": "", "unix_socket_directories": str(scratch), "shared_buffers": "64MB", **config}
    options = [f"--{name}={value}" for name, value in settings.items()]
    with (scratch / "log").open("ab") as log:
        return subprocess.Popen(
            [str(folder / "postgres"), "-D", str(data_dir), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(),
            cwd="/",
            # Its own session: Ctrl-C at the terminal must not reach the server before the tests have been torn down.
            start_new_session=True,
            user=account.uid,
            group=account.gid,
            extra_groups=None if account.uid is None else [],
        )


def _spawn_guard(data_dir: Path, scratch: Path, data_scratch: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", GUARD, "syncd-test-postgres-guard", str(data_dir), str(scratch), str(data_scratch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Without the mark: whoever ends what a killed run has left must not end this before the server has ended.
        env={name: value for name, value in os.environ.items() if name != leftovers.MARK},
        start_new_session=True,
    )


def _run_as(account: Account, command: list[str]) -> None:
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env=_environment(),
        cwd="/",
        user=account.uid,
        group=account.gid,
        extra_groups=None if account.uid is None else [],
    )


def _environment() -> dict[str, str]:
    # PGDATA, PGPORT and their like of the caller's own server would reach ours.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
