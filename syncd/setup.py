"""Making a node's database and its first rows: the root with its own unit, or a station that joins.

Enters: a way to connect, the node's keys, what `init` or the parent's reply said. Leaves: a database ready for `Node`.
Must hold: done twice it changes nothing; another node's database is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schema.spec import Registry
from syncd.clock import instant_of
from syncd.errors import ConfigError
from syncd.language import say
from syncd.store.base import Store, Tx
from syncd.store.named import definition_refused
from syncd.terms import refresh_keepers
from syncd.tree import NodeRecord

if TYPE_CHECKING:
    from syncd.security.identity import NodeKeys

Connect = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node stands: its unit and the line of nodes above it, parent first (none at the root)."""

    name: str
    unit_id: str
    unit_code: str
    unit_name: str
    unit_level: str
    ancestors: tuple[NodeRecord, ...]
    recovery_public: bytes
    foreign_writes: str = "refuse"


def create_schema(
    connect: Connect, dialect: str, registry: Registry, node_keys: NodeKeys, place: Place, *, where: str
) -> None:
    """Create or upgrade the tables and triggers of a node (imports SQLAlchemy and Alembic). `where`: the database, for
    words."""
    from schema.install import Identity, NameTakenError, SchemaError, install

    identity = Identity(node_id=node_keys.node_id, tag=node_keys.tag, unit_id=place.unit_id)
    try:
        install(connect, dialect, registry, identity, foreign_writes=place.foreign_writes)  # type: ignore[arg-type]  # checked by the configuration
    except NameTakenError as error:
        raise name_taken(error.names) from error
    except SchemaError as error:
        raise ConfigError(
            say("cơ sở dữ liệu: {error}", "the database: {error}", error=error),
            say("dùng cơ sở dữ liệu trống, hoặc khóa của máy đó", "use an empty database, or the keys of that node"),
        ) from error
    except Exception as error:
        if not type(error).__module__.startswith("sqlalchemy"):
            raise
        cause = getattr(error, "orig", None) or error
        if (trouble := not_of_definition(cause, where)) is not None:
            raise trouble from error
        raise ConfigError(
            say(
                "cơ sở dữ liệu không nhận các bảng: {error}",
                "the database does not take the tables: {error}",
                error=definition_refused(cause),
            ),
            say(
                "nếu là quy tắc (check) trong extra_tables thì sửa quy tắc đó, rồi chạy lại",
                "if it is a rule (check) in extra_tables, correct that rule and run this again",
            ),
        ) from error


def not_of_definition(error: Any, where: str) -> Exception | None:
    """What is wrong with the database itself (its disk, its rights, its server), where the tables are not to blame.
    `error`: a driver's, told by its code: no driver is loaded here for its classes."""
    if hasattr(error, "sqlite_errorcode"):
        from syncd.store import sqlite_errors

        return None if sqlite_errors.is_of_statement(error) else sqlite_errors.translate(error, where)
    if hasattr(error, "sqlstate"):
        from syncd.store import postgres_errors
        from syncd.store.causes import UNFIT
        from syncd.store.postgres_causes import REFUSED

        is_of_statement = postgres_errors.cause_of(error) in (REFUSED, UNFIT)
        return None if is_of_statement else postgres_errors.translate(error)
    return None


def name_taken(names: Iterable[str]) -> ConfigError:
    """The database has something else of a new table's name."""
    return ConfigError(
        say(
            "cơ sở dữ liệu đã có bảng {names}, không phải do syncd tạo",
            "the database has a table {names} already that syncd did not make",
            names=", ".join(names),
        ),
        say(
            "đổi tên bảng đó, hoặc mô tả bảng mới trong extra_tables dưới tên khác",
            "rename that table, or describe the new one in extra_tables under another name",
        ),
    )


def record_place(store: Store, node_keys: NodeKeys, place: Place, now_ms: int) -> None:
    """Write what the node knows of itself; at the root also its own unit and node record. Idempotent.

    `created_at` is written by the last transaction: after a power cut before it the same call goes on.
    """
    root = place.ancestors[-1].node_id if place.ancestors else node_keys.node_id
    with store.apply("setup") as tx:
        set_facts(tx, {
            "name": place.name, "unit_id": place.unit_id, "unit_code": place.unit_code, "unit_name": place.unit_name,
            "root_id": root, "parent_id": place.ancestors[0].node_id if place.ancestors else "",
            "depth": str(len(place.ancestors)), "recovery_public": place.recovery_public.hex(),
            "signing_public": node_keys.ed25519_public.hex(), "sealing_public": node_keys.x25519_public.hex(),
            "foreign_writes": place.foreign_writes, "ancestors": _ancestors_json(place.ancestors),
        }.items())  # fmt: skip
        for record in place.ancestors[:1]:
            set_peer(tx, record.node_id, "parent", record.name)
            set_facts(tx, [("created_at", instant_of(now_ms))])
    if not place.ancestors:
        _root_rows(store, node_keys, place, now_ms)


def set_facts(tx: Tx, facts: Iterable[tuple[str, str]]) -> None:
    """Write facts about this node, replacing older values."""
    tx.many(
        "INSERT INTO syncd_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        list(facts),
    )


def set_peer(
    tx: Tx, node_id: str, role: str, name: str, address: str | None = None, certificate_sha256: bytes | None = None
) -> None:
    """Record a neighbour."""
    tx.run(
        "INSERT INTO syncd_peer (node_id, role, name, address, certificate_sha256) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (node_id) DO UPDATE SET role = excluded.role, name = excluded.name,"
        " address = coalesce(excluded.address, syncd_peer.address),"
        " certificate_sha256 = coalesce(excluded.certificate_sha256, syncd_peer.certificate_sha256)",
        (node_id, role, name, address, certificate_sha256),
    )


def _root_rows(store: Store, node_keys: NodeKeys, place: Place, now_ms: int) -> None:
    """The root's unit and its own node record: the first rows of its streams, captured as any write."""
    with store.write("setup-root") as tx:
        if tx.value("SELECT 1 FROM unit WHERE id = ?", (place.unit_id,)) is None:
            tx.run(
                "INSERT INTO unit (id, level, code, name) VALUES (?, ?, ?, ?)",
                (place.unit_id, place.unit_level, place.unit_code, place.unit_name),
            )
        if tx.value("SELECT 1 FROM node WHERE node_id = ?", (node_keys.node_id,)) is None:
            insert_node(tx, NodeRecord(
                node_id=node_keys.node_id, parent_id=None, name=place.name, signing_public=node_keys.ed25519_public,
                sealing_public=node_keys.x25519_public, unit_id=place.unit_id, term=1, status="enrolled",
            ), now_ms)  # fmt: skip
    with store.apply("setup-keepers") as tx:
        refresh_keepers(tx)
        set_facts(tx, [("created_at", instant_of(now_ms))])


def insert_node(tx: Tx, record: NodeRecord, now_ms: int) -> None:
    """One node record, in this node's control stream."""
    tx.run(
        "INSERT INTO node (node_id, parent_id, name, signing_public, sealing_public, home_unit_id, term, status,"
        " enrolled_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (record.node_id, record.parent_id, record.name, record.signing_public, record.sealing_public, record.unit_id,
         record.term, record.status, instant_of(now_ms)),
    )  # fmt: skip


def _ancestors_json(ancestors: Iterable[NodeRecord]) -> str:
    return json.dumps([
        {
            "node_id": record.node_id, "parent_id": record.parent_id, "name": record.name, "unit_id": record.unit_id,
            "signing_public": record.signing_public.hex(), "sealing_public": record.sealing_public.hex(),
        }
        for record in ancestors
    ])  # fmt: skip
