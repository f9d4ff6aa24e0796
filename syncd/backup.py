"""Backing up: everything a node is, in one encrypted file that was read back before anybody believes in it.

Enters: a node (its daemon may run), a folder. Leaves: a file; at the custodian, receipts that let logs be pruned (I9).
Must hold: the file shows one moment of the database; it is a backup only when every record of it was read from the disk
again, unpacked, counted, and the content of every stream digested to what the database itself says; a file that was not
finished or not equal is removed.

One form for both databases: the rows of every table, without indexes. So a backup takes less room than the database, a
second database is not needed to examine it, and what was SQLite may be restored into PostgreSQL. Tables of other
programs in the same database are not in it; the caller is told their names.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schema.local import LOCAL_TABLES, LocalTable
from schema.names import listed, quoted
from schema.spec import Audience, Kind, Registry, Table
from schema.tables import SCHEMA_REVISION
from syncd import backup_file, limits, log, receipt
from syncd.backup_file import LAST_BACKUP_AT, LAST_BACKUP_PATH, Head
from syncd.clock import instant_of
from syncd.errors import ConfigError, FileRefused
from syncd.identity_files import NODE_FILES
from syncd.language import say
from syncd.log import Stream
from syncd.pipeline import Node
from syncd.setup import set_facts
from syncd.signals import RECEIPT
from syncd.status import database_revision
from syncd.store.base import Row, Tx
from syncd.store.patience import patiently
from syncd.system import fsync_directory, read_any_file, translate_os_error
from syncd.verify import digest_stream, digested
from syncd.wire import copy_text

SUFFIX = ".backup"
PASSING = frozenset({"syncd_applying", "syncd_replacing"})  # rows of a transaction under way
FORMAT = 1
FILE, TABLE, ROWS, END = "file", "table", "rows", "end"
NAME_CHARS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")

Progress = Callable[[str, int], None]  # (what is being done, how many rows so far)
Line = tuple[int, int, str | None, str | None, int, bytes]  # table, audience, unit, tag of the ids, rows, SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A verified backup. `vouched`: streams whose positions the custodian has signed as backed up."""

    path: Path
    made_at: str
    size_bytes: int
    rows: int
    tables: int
    streams: int
    vouched: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What reading a backup found, or what its end states."""

    rows: dict[str, int]
    lines: frozenset[Line]


def back_up(
    node: Node,
    files: Path,
    folder: Path,
    tell: Progress = lambda _what, _rows: None,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> Backup:
    """Write and verify a backup of `node`, whose keys and settings lie in `files`, into `folder`.

    Raises DiskFull, PermissionDenied; FileRefused when what was read back is not what was written.
    """
    make_folder(folder)
    head, target, size, seen = _write(node, files, folder, tell, random_bytes)
    vouched = _record(node, head.made_ms, target, seen.streams)
    return Backup(
        path=target, made_at=instant_of(head.made_ms), size_bytes=size, rows=sum(seen.rows.values()),
        tables=len(seen.rows), streams=len(seen.streams), vouched=vouched, left_out=seen.left_out,
    )  # fmt: skip


@patiently
def _write(
    node: Node, files: Path, folder: Path, tell: Progress, random_bytes: Callable[[int], bytes]
) -> tuple[Head, Path, int, _Snapshot]:
    """The file, proven and under its name, with its size and what was seen; from the beginning where the snapshot is
    lost."""
    seen = _Snapshot()
    readers = [node.keys.x25519_public, *([node.recovery_public] if node.recovery_public else [])]
    with node.store.read() as tx:
        head, name = _head(node, tx)
        target, partial = folder / name, folder / f".{name}.partial"
    try:
        with node.store.read() as tx:
            size = backup_file.write(partial, head, readers, _records(node, tx, files, seen, tell), random_bytes)
        read_back(partial, node.keys.exchange, node.store.registry, tell)
        _finish(partial, target)
    except BaseException:
        with suppress(OSError):  # what is wrong with this place is said by the error under way
            partial.unlink(missing_ok=True)
        raise
    return head, target, size, seen


def find_backup(place: Path) -> Path:
    """The file itself, or the newest backup in a folder. Raises ConfigError where there is none, or several nodes'."""
    if not place.is_dir():
        return place
    found: list[tuple[Head, Path]] = []
    for path in sorted(place.glob(f"*{SUFFIX}"))[: limits.BACKUP_FILES_MAX]:
        found.append((backup_file.read_head(path), path))
    if not found:
        raise ConfigError(
            say("trong {place} không có bản sao lưu nào", "there is no backup in {place}", place=place),
            say("nêu tệp .backup do `syncd backup` ghi", "name the .backup file that `syncd backup` has written"),
        )
    nodes = {head.node_id for head, _path in found}
    if len(nodes) > 1:
        raise ConfigError(
            say(
                "trong {place} có bản sao lưu của {n} máy",
                "{place} holds backups of {n} nodes",
                place=place,
                n=len(nodes),
            ),
            say(
                "nêu đúng tệp: {names}",
                "name the file: {names}",
                names=", ".join(path.name for _head, path in found[:6]),
            ),
        )
    return max(found, key=lambda each: each[0].made_ms)[1]


def remove_older(made: Backup, keep: int) -> list[Path]:
    """Remove this node's backups in the folder of `made` but the `keep` newest; returns what was removed."""
    node_id = backup_file.read_head(made.path).node_id
    found = []
    for path in sorted(made.path.parent.glob(f"*{SUFFIX}"))[: limits.BACKUP_FILES_MAX]:
        try:
            head = backup_file.read_head(path)
        except FileRefused:
            continue  # not ours to remove
        if head.node_id == node_id and path != made.path:
            found.append((head.made_ms, path))
    older = [path for _made_ms, path in sorted(found, reverse=True)[keep - 1 :]]
    for path in older:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise translate_os_error(error, say("không xóa được {path}", "cannot remove {path}", path=path)) from error
    return older


def make_folder(folder: Path) -> None:
    """The place for backups; a stick's root stays as it is."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise translate_os_error(
            error, say("không tạo được thư mục {path}", "cannot create the directory {path}", path=folder)
        ) from error


def _finish(partial: Path, target: Path) -> None:
    """Give a proven file its name, durably."""
    try:
        partial.replace(target)
        fsync_directory(target.parent)
    except OSError as error:
        raise translate_os_error(error, say("không ghi được {path}", "cannot write {path}", path=target)) from error


def read_back(path: Path, key: X25519PrivateKey, registry: Registry, tell: Progress) -> Content:
    """Read a backup whole and compare it with what its end states. Raises FileRefused when it differs."""
    opened = backup_file.open_file(path, [key])
    found, stated = examine(backup_file.records(opened), registry, tell)
    if stated is None or found.rows != stated.rows or not stated.lines <= found.lines:
        raise FileRefused(
            say(
                "đọc lại bản sao lưu {path} không khớp với cơ sở dữ liệu",
                "the backup {path}, read back, is not what the database holds",
                path=path,
            ),
            say(
                "kiểm tra đĩa đích, rồi sao lưu lại vào nơi khác",
                "examine the target disk, then back up again to another place",
            ),
        )
    return stated


def examine(
    records: Iterator[backup_file.Record], registry: Registry, tell: Progress
) -> tuple[Content, Content | None]:
    """Count and digest what records hold; returns that and what the last record states."""
    counted: Counter[str] = Counter()
    digests = _Digests()
    table, columns, stated = "", list[str](), None
    for record in records:
        if record[0] == TABLE:
            table, columns = record[1], record[2]
            counted[table] = 0
        elif record[0] == ROWS:
            counted[table] += len(record[1][0])
            described = registry.by_name.get(table)
            if described is not None:
                digests.add(described, dict(zip(columns, record[1], strict=True)))
            tell(say("đọc lại {table}", "reading back {table}", table=table), counted[table])
        elif record[0] == END:
            stated = Content(rows=dict(record[1]), lines=frozenset(tuple(line) for line in record[2]))
    empty = frozenset() if stated is None else stated.lines
    return Content(rows=dict(counted), lines=digests.lines() | {line for line in empty if _is_empty(line)}), stated


def tables_of(registry: Registry) -> dict[str, tuple[Table | LocalTable, list[str], list[str]]]:
    """Name → table, its columns, their types: everything a backup holds."""
    found: dict[str, tuple[Table | LocalTable, list[str], list[str]]] = {}
    for table in registry:
        found[table.name] = table, [c.name for c in table.all_columns], [str(c.type) for c in table.all_columns]
    for local in LOCAL_TABLES:
        if local.name not in PASSING:
            found[local.name] = local, [c.name for c in local.columns], [str(c.type) for c in local.columns]
    return found


def content_lines(tx: Tx, registry: Registry) -> frozenset[Line]:
    """The digests of every stream's rows as this database shows them now, each content once."""
    lines: dict[tuple[int, int, str | None, str | None], Line] = {}
    for stream in log.streams(tx, "kind <> ?", (int(Kind.BASELINE),)):
        tag = None if stream.kind == Kind.REGISTER else stream.keeper[28:]
        kind = Kind(stream.kind)
        place = next((table.number, 0, stream.unit_id, tag) for table in registry.of_kind(kind))
        if any(key[0] == place[0] and key[2:] == place[2:] for key in lines):
            continue  # another term of the same unit: the same rows
        for line in digest_stream(tx, registry, stream, list(Audience), stream.applied_seq):
            key = (line.table, line.audience, stream.unit_id, tag)
            lines[key] = (*key, line.row_count, line.sha256)
    return frozenset(lines.values())


@dataclass(slots=True, kw_only=True)
class _Snapshot:
    """What was learnt while the snapshot was written down."""

    rows: dict[str, int] = field(default_factory=dict)
    streams: list[Stream] = field(default_factory=list)
    left_out: tuple[str, ...] = ()


def _head(node: Node, tx: Tx) -> tuple[Head, str]:
    facts: dict[str, str] = dict(tx.all("SELECT key, value FROM syncd_meta"))
    # Later than any backup before, whatever the clock does: receipts of a backup are asked for by its time.
    made_ms = max(node.clock(), receipt.heard_of_backup(tx) + 1)
    head = Head(
        format=FORMAT, node_id=node.node_id, name=facts.get("name", ""), unit_code=facts.get("unit_code", ""),
        unit_name=facts.get("unit_name", ""), made_ms=made_ms, dialect=tx.dialect, schema_revision=SCHEMA_REVISION,
        database_revision=database_revision(tx) or "", sealed=[],
    )  # fmt: skip
    code = "".join(letter for letter in head.unit_code if letter in NAME_CHARS) or "node"
    moment = instant_of(made_ms).translate(str.maketrans("", "", "-:."))
    return head, f"syncd-{code}-{node.keys.tag}-{moment}{SUFFIX}"


def _records(node: Node, tx: Tx, files: Path, seen: _Snapshot, tell: Progress) -> Iterator[bytes]:
    """The whole backup, record by record; `seen` is complete when the last one was taken."""
    for name in NODE_FILES:
        if (files / name).is_file():
            yield backup_file.encode([FILE, name, read_any_file(files / name, limits.NODE_FILE_BYTES_MAX)])
    known = tables_of(node.store.registry)
    for name, (table, columns, types) in known.items():
        yield backup_file.encode([TABLE, name, columns, types])
        seen.rows[name] = 0
        rows_max = limits.BACKUP_ENVELOPES if name in ("syncd_log", "syncd_partial") else limits.BACKUP_ROWS
        order = ", ".join(table.key) if isinstance(table, LocalTable) else "id"
        query = f"SELECT {listed(columns)} FROM {quoted(name)} ORDER BY {order}"
        for rows in tx.stream(query, rows_max=rows_max):
            yield from _blocks(rows)
            seen.rows[name] += len(rows)
            tell(say("ghi {table}", "writing {table}", table=name), seen.rows[name])
    seen.streams = log.streams(tx, "applied_seq > 0")
    seen.left_out = tuple(sorted(_present(tx) - known.keys() - PASSING))
    tell(say("tính đối soát", "digesting"), 0)
    yield backup_file.encode([END, seen.rows, sorted(content_lines(tx, node.store.registry), key=str)])


def _blocks(rows: list[Row]) -> Iterator[bytes]:
    """Rows as columns; several records where they are long."""
    plain = backup_file.encode([ROWS, [list(column) for column in zip(*rows, strict=True)]])
    if len(plain) <= limits.BACKUP_BLOCK_BYTES or len(rows) == 1:
        yield plain
        return
    half = len(rows) // 2
    yield from _blocks(rows[:half])
    yield from _blocks(rows[half:])


def _present(tx: Tx) -> set[str]:
    """The tables of this database, other programs' included."""
    if tx.dialect == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'"
    else:
        query = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"
    return {row[0] for row in tx.all(query)} - {"alembic_version"}


@patiently
def _record(node: Node, made_ms: int, path: Path, streams: list[Stream]) -> int:
    """Note the backup; as custodian sign what it holds. One transaction: neighbours ask for all of a backup at once."""
    vouched: list[str] = []
    with node.store.apply("backed-up") as tx:
        set_facts(tx, [(LAST_BACKUP_AT, instant_of(made_ms)), (LAST_BACKUP_PATH, str(path.resolve()))])
        if node.is_root:
            signed = [
                receipt.sign(node.keys, stream, made_ms, receipt.BACKED_UP)
                for stream in streams
                if stream.applied_seq > stream.backed_up_seq
            ]
            receipt.note_backup(tx, signed)
            vouched = [item.stream_id for item in signed if receipt.is_news(tx, item) and receipt.store(tx, item)]
    node.signals.emit(RECEIPT, vouched)
    return len(vouched)


class _Digests:
    """Digests of rows that come table by table in the order of their ids, per stream's content and audience."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int, str | None, str | None], tuple[Any, list[int]]] = {}

    def add(self, table: Table, columns: dict[str, list[Any]]) -> None:
        places: dict[tuple[str | None, str | None], list[int]] = {}
        tags = (None,) * len(columns["id"]) if table.kind is Kind.REGISTER else [row[28:] for row in columns["id"]]
        for place, owner in enumerate(zip(columns["unit_id"], tags, strict=True)):
            places.setdefault(owner, []).append(place)
        for audience in Audience:
            chosen = digested(table, audience)
            if not any(column.audience is audience for column in table.columns):
                continue
            types = [str(column.type) for column in chosen]
            for owner, of_owner in places.items():
                values = [[columns[column.name][place] for place in of_owner] for column in chosen]
                digest, count = self._found.setdefault((table.number, int(audience), *owner), (sha256(), [0]))
                digest.update(copy_text(values, types))
                count[0] += len(of_owner)

    def lines(self) -> frozenset[Line]:
        return frozenset((*key, count[0], digest.digest()) for key, (digest, count) in self._found.items())


def _is_empty(line: Line) -> bool:
    return line[4] == 0 and line[5] == sha256().digest()
