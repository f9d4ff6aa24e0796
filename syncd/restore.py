"""Restoring: a node's directory and database from a backup, or its keys alone with an empty database.

Enters: a backup, a key that opens it, a directory where no node is (and an empty database). Leaves: the node as it was,
or with its keys alone, one that fetches everything from its neighbours anew.
Must hold: nothing is touched before the whole backup was read and found good; what is there is never overwritten; the
database appears complete or not at all; its content digests to what the backup states. A restored node knows less than
its neighbours remember: `syncd/rejoin.py` sees to that before it seals anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from schema import described
from schema.names import quoted
from schema.spec import Registry, Table
from syncd import backup_file, limits, setup
from syncd.backup import FILE, ROWS, TABLE, Content, Progress, content_lines, examine, find_backup, tables_of
from syncd.backup_file import LAST_BACKUP_AT, LAST_BACKUP_PATH, Head, Opened
from syncd.clock import Clock, instant_of, system_clock
from syncd.config import CONFIG_FILE, Config, load_config, load_registry, write_config
from syncd.errors import ConfigError, FileRefused, KeyFileError, StoreError, SyncdError
from syncd.identity_files import PUBLIC_FILES
from syncd.language import say
from syncd.node.holding import RESTORE, hold
from syncd.node_files import DATABASE_FILE, database_key, open_store, read_facts
from syncd.positions import mark_restored
from syncd.security.identity import DATABASE_KEY_FILE, EXCHANGE_KEY_FILE, SIGNING_KEY_FILE, DatabaseKey, NodeKeys
from syncd.security.recovery import load_recovery_key
from syncd.setup import Place
from syncd.status import database_revision
from syncd.store.base import Store, Tx
from syncd.store.files import database_files, is_taken, make_room, move_aside
from syncd.system import (
    fsync_directory,
    make_secret_directory,
    read_any_file,
    require_own_directory,
    write_public_file,
    write_secret_file,
)
from syncd.tree import NodeRecord

SCRATCH_FILE = ".restoring.db"
# A fact of the new database itself: the role its own triggers believe.
KEPT_FACTS = ("applying_role", described.FACT)
RESTORED_AT = "restored_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored. `rows` is 0 where only the keys were."""

    directory: Path
    node_id: str
    unit_code: str
    unit_name: str
    made_at: str
    rows: int
    moved_to: Path | None = None  # what an earlier database had left in its place


def restore(
    backup: Path,
    directory: Path,
    key_file: Path | None = None,
    *,
    database: str | None = None,
    tell: Progress = lambda _what, _rows: None,
    clock: Clock = system_clock,
) -> Restored:
    """Put the whole node back. `database`: where to, when not where the backup's settings say.

    Raises KeyFileError, FileRefused, AlreadyRunning, ConfigError; after any of them the target is as it was.
    """
    with _prepared(backup, directory, key_file, database, tell) as target:
        moved_to = _require_empty(directory, target.config, clock)
        target.write_files()
        if target.config.is_sqlite:
            _into_sqlite(target, tell, clock)
        else:
            with closing(_new_store(target, None)) as store:
                _load(target, store, tell, clock)
        _prove(target, tell, clock)
        return target.restored(sum(target.stated.rows.values()), moved_to)


def restore_keys(
    backup: Path,
    directory: Path,
    key_file: Path | None = None,
    *,
    database: str | None = None,
    tell: Progress = lambda _what, _rows: None,
    clock: Clock = system_clock,
) -> Restored:
    """Put keys, certificates and settings back and make an empty database for them: the node fetches what was in it
    from its parent and its children. Raises what `restore` raises.
    """
    with _prepared(backup, directory, key_file, database, tell) as target:
        if not target.facts.get("parent_id"):
            raise ConfigError(
                say("máy gốc không thể dựng lại chỉ từ khóa", "a root cannot be rebuilt from its keys alone"),
                say("khôi phục cả bản sao lưu: bỏ --keys-only", "restore the whole backup: leave --keys-only out"),
            )
        moved_to = _require_empty(directory, target.config, clock)
        target.write_files()
        with closing(_new_store(target, None)) as store:
            setup.record_place(store, target.keys, _place(target.facts), clock())
            with store.apply("restored") as tx:
                setup.set_facts(tx, [(RESTORED_AT, instant_of(clock()))])
        with closing(open_store(directory, target.config)) as store:
            target.keys.require_database(read_facts(store, directory), directory)
        return target.restored(0, moved_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A backup that was read whole and is good, and where it goes."""

    opened: Opened
    directory: Path
    config: Config
    files: Mapping[str, bytes]
    facts: Mapping[str, str]
    stated: Content

    @property
    def keys(self) -> NodeKeys:
        return NodeKeys.load(self.directory)

    @property
    def registry(self) -> Registry:
        return load_registry(self.config, self.directory)

    def write_files(self) -> None:
        """Keys, certificates, settings, the mark of a copy; what is there already was found to be the same."""
        make_secret_directory(self.directory)
        for name, data in self.files.items():
            if name != CONFIG_FILE and not (self.directory / name).exists():
                write = write_public_file if name in PUBLIC_FILES else write_secret_file
                write(self.directory / name, data)
        if self.config.is_sqlite and self.config.encrypted and not (self.directory / DATABASE_KEY_FILE).exists():
            DatabaseKey.generate(os.urandom).save(self.directory)
        write_config(self.directory, self.config)
        mark_restored(self.directory)  # before the database is there: it must not seal before a neighbour has answered

    def restored(self, rows: int, moved_to: Path | None) -> Restored:
        head = self.opened.head
        return Restored(
            directory=self.directory, node_id=head.node_id, unit_code=head.unit_code, unit_name=head.unit_name,
            made_at=instant_of(head.made_ms), rows=rows, moved_to=moved_to,
        )  # fmt: skip


@contextmanager
def _prepared(
    backup: Path, directory: Path, key_file: Path | None, database: str | None, tell: Progress
) -> Iterator[_Target]:
    """The backup, read and examined, with the target locked against a daemon."""
    require_own_directory(directory)
    path = find_backup(backup)
    opened = backup_file.open_file(path, [load_recovery_key(_key_file(directory, key_file))])
    files, facts = _first_look(opened)
    config = _config(files, database)
    registry = load_registry(config, directory)
    found, stated = examine(backup_file.records(opened), registry, tell)
    if stated is None or found.rows != stated.rows or not stated.lines <= found.lines:
        raise FileRefused(
            say(
                "nội dung bản sao lưu {path} không khớp với chính nó",
                "the backup {path} does not hold what its end states",
                path=path,
            ),
            say("dùng bản sao lưu khác", "use another backup"),
        )
    _require_same_files(directory, files)
    make_secret_directory(directory)
    with hold(directory, RESTORE):
        yield _Target(opened=opened, directory=directory, config=config, files=files, facts=facts, stated=stated)


def _key_file(directory: Path, given: Path | None) -> Path:
    """The key that opens the backup: as named, else the one that lies in the target."""
    if given is not None:
        return given
    if (directory / EXCHANGE_KEY_FILE).exists():
        return directory / EXCHANGE_KEY_FILE
    raise KeyFileError(
        say("chưa nêu khóa mở bản sao lưu", "no key to open the backup with"),
        say(
            "--key TỆP: exchange.key của máy (cất riêng), hoặc recovery.key của tỉnh",
            "--key FILE: the node's exchange.key (kept apart), or the province's recovery.key",
        ),
    )


def _first_look(opened: Opened) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files, and what the database said of its node: they come first."""
    files: dict[str, bytes] = {}
    facts: dict[str, str] = {}
    table = ""
    for record in backup_file.records(opened):
        if record[0] == FILE:
            files[record[1]] = record[2]
        elif record[0] == TABLE:
            if table == "syncd_meta":
                break
            table = record[1]
        elif record[0] == ROWS and table == "syncd_meta":
            facts.update(zip(*record[1], strict=True))
    return files, facts


def _config(files: Mapping[str, bytes], database: str | None) -> Config:
    """The settings of the backup; another database where the operator names one."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="syncd-") as name:
        write_secret_file(Path(name) / CONFIG_FILE, files.get(CONFIG_FILE, b""))
        config = load_config(Path(name), {})
    return config if database is None else replace(config, database=database)


def _require_same_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """A directory that holds other keys is another node's."""
    for name in (SIGNING_KEY_FILE, EXCHANGE_KEY_FILE):
        path = directory / name
        if path.exists() and read_any_file(path, limits.NODE_FILE_BYTES_MAX) != files.get(name):
            raise ConfigError(
                say(
                    "{directory} chứa khóa của máy khác",
                    "{directory} holds the keys of another node",
                    directory=directory,
                ),
                say("khôi phục vào thư mục trống: --to THƯ_MỤC", "restore into an empty directory: --to DIR"),
            )


def _require_empty(directory: Path, config: Config, clock: Clock) -> Path | None:
    """Nothing is overwritten: a database that is there may know more than the backup. What one has left behind would
    become part of the new one: it is moved aside, whither is returned.
    """
    path = directory / DATABASE_FILE
    if config.is_sqlite and is_taken(path):
        raise ConfigError(
            say("{what} đã có dữ liệu của một máy", "{what} holds the data of a node already", what=path),
            say(
                "dời cả {names} đi nơi khác (đừng xóa), hoặc khôi phục vào thư mục trống",
                "move all of {names} away (do not delete them), or restore into an empty directory",
                names=", ".join(each.name for each in database_files(path)),
            ),
        )
    if not config.is_sqlite and _is_taken(config):
        raise ConfigError(
            say("cơ sở dữ liệu PostgreSQL đã có dữ liệu của một máy", "the PostgreSQL database holds a node's data"
                " already"),
            say("khôi phục vào cơ sở dữ liệu trống", "restore into an empty database"),
        )  # fmt: skip
    return make_room(path, instant_of(clock())) if config.is_sqlite else None


def _is_taken(config: Config) -> bool:
    from syncd.store import postgres

    connection = postgres.connect(config.database)
    try:
        if connection.execute("SELECT to_regclass('syncd_meta')").fetchone() == (None,):
            return False
        return connection.execute("SELECT 1 FROM syncd_meta WHERE key = 'created_at'").fetchone() is not None
    finally:
        connection.close()


def _into_sqlite(target: _Target, tell: Progress, clock: Clock) -> None:
    """Beside its place first: a database is there when it is complete."""
    path = target.directory / SCRATCH_FILE
    _remove(path)
    try:
        with closing(_new_store(target, path)) as store:
            _load(target, store, tell, clock)
        if database_files(path) != [path]:  # closed by the last who had it open, it needs no log any more
            raise StoreError(
                say("{path} còn được chương trình khác mở", "{path} is open in another program", path=path),
                say("đóng chương trình đó rồi chạy lại", "close that program, then run this again"),
            )
        path.replace(target.directory / DATABASE_FILE)
        fsync_directory(target.directory)
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    """Our own unfinished work, which nobody else knows."""
    for each in database_files(path):
        each.unlink(missing_ok=True)


def _prove(target: _Target, tell: Progress, clock: Clock) -> None:
    """Open the result as whoever comes next does: by its place, its settings and its key; the content is the backup's.

    Where it is not, it does not stay in its place.
    """
    tell(say("đối soát", "digesting"), 0)
    try:
        with closing(open_store(target.directory, target.config)) as store:
            target.keys.require_database(read_facts(store, target.directory), target.directory)
            with store.read() as tx:
                _require_content(target, tx)
    except SyncdError:
        if target.config.is_sqlite:
            move_aside(target.directory / DATABASE_FILE, instant_of(clock()))
        raise


def _require_content(target: _Target, tx: Tx) -> None:
    if content_lines(tx, target.registry) != target.stated.lines:
        raise StoreError(
            say("nội dung vừa nạp không khớp bản sao lưu", "what was loaded is not what the backup holds"),
            say(
                "kiểm tra đĩa; không có gì được giữ lại ở nơi khôi phục",
                "examine the disk; nothing was kept at the target",
            ),
        )


def _new_store(target: _Target, path: Path | None) -> Store:
    """Tables and triggers of the node, empty (imports SQLAlchemy and Alembic)."""
    config, directory = target.config, target.directory
    if not config.is_sqlite:
        from syncd.store import postgres

        setup.create_schema(
            lambda: postgres.connect(config.database), config.schema_dialect, target.registry, target.keys,
            _place(target.facts), where=str(directory),
        )  # fmt: skip
        return open_store(directory, config)
    from syncd.store import sqlite

    place, key = path or directory / DATABASE_FILE, database_key(directory, config)
    setup.create_schema(
        lambda: sqlite.connect(place, key),
        config.schema_dialect,
        target.registry,
        target.keys,
        _place(target.facts),
        where=str(place),
    )
    return sqlite.SqliteStore(place, target.registry, key)


def _load(target: _Target, store: Store, tell: Progress, clock: Clock) -> None:
    """Every row, in one transaction, then the same digests by the database's own means."""
    with store.apply("restore") as tx:
        _require_revision(tx, target.opened.head)
        _insert_all(target, tx, tell)
        _settle(tx, target.opened, clock())
        tell(say("đối soát", "digesting"), 0)
        _require_content(target, tx)


def _require_revision(tx: Tx, head: Head) -> None:
    found = database_revision(tx) or ""
    if head.database_revision and head.database_revision != found:
        raise ConfigError(
            say(
                "bản sao lưu thuộc lược đồ {theirs}, phiên bản syncd này dùng {ours}",
                "the backup is of schema {theirs}, this release of syncd has {ours}",
                theirs=head.database_revision,
                ours=found,
            ),
            say(
                "khôi phục bằng phiên bản đã sao lưu, rồi nâng cấp",
                "restore with the release that wrote it, then upgrade",
            ),
        )


def _insert_all(target: _Target, tx: Tx, tell: Progress) -> None:
    known = tables_of(target.registry)
    table, columns, types, counted = "", list[str](), list[str](), 0
    for record in backup_file.records(target.opened):
        if record[0] == TABLE:
            table, columns, types, counted = record[1], record[2], record[3], 0
            if table not in known or known[table][1] != columns:
                raise ConfigError(
                    say(
                        "lược đồ ở đây không có bảng {table} như bản sao lưu",
                        "the schema here has no table {table} as the backup has it",
                        table=table,
                    ),
                    say("khôi phục bằng phiên bản đã sao lưu", "restore with the release that wrote it"),
                )
            kept = ", ".join(f"'{key}'" for key in KEPT_FACTS)
            tx.run(f"DELETE FROM {quoted(table)}" + (f" WHERE key NOT IN ({kept})" if table == "syncd_meta" else ""))
        elif record[0] == ROWS:
            values = record[1]
            if table == "syncd_meta":
                values = [list(column) for column in zip(*_facts(values), strict=True)]
            # Only its name is asked for: the node's own tables are loaded like the replicated ones.
            tx.insert_columns(cast(Table, known[table][0]), columns, types, values)
            counted += len(values[0])
            tell(say("nạp {table}", "loading {table}", table=table), counted)


def _facts(columns: list[list[Any]]) -> list[tuple[str, str]]:
    return [(key, value) for key, value in zip(*columns, strict=True) if key not in KEPT_FACTS]


def _settle(tx: Tx, opened: Opened, now_ms: int) -> None:
    """What another database has to know: its own numbers for the journal, that it was restored, and from what: no
    backup tells of itself.
    """
    setup.set_facts(tx, [
        (RESTORED_AT, instant_of(now_ms)),
        (LAST_BACKUP_AT, instant_of(opened.head.made_ms)), (LAST_BACKUP_PATH, str(opened.path.resolve())),
    ])  # fmt: skip
    tx.run("UPDATE syncd_journal SET tx = 0")
    if tx.dialect != "sqlite":
        tx.all(
            "SELECT setval(pg_get_serial_sequence('syncd_journal', 'n'),"
            " (SELECT coalesce(max(n), 0) + 1 FROM syncd_journal), false)"
        )


def _place(facts: Mapping[str, str]) -> Place:
    return Place(
        name=facts["name"], unit_id=facts["unit_id"], unit_code=facts["unit_code"], unit_name=facts["unit_name"],
        unit_level="", ancestors=tuple(_node(item) for item in json.loads(facts.get("ancestors", "[]"))),
        recovery_public=bytes.fromhex(facts.get("recovery_public", "")),
        foreign_writes=facts.get("foreign_writes", "refuse"),
    )  # fmt: skip


def _node(item: Mapping[str, Any]) -> NodeRecord:
    return NodeRecord(
        node_id=item["node_id"], parent_id=item["parent_id"], name=item["name"],
        signing_public=bytes.fromhex(item["signing_public"]), sealing_public=bytes.fromhex(item["sealing_public"]),
        unit_id=item["unit_id"], term=1, status="enrolled",
    )  # fmt: skip
