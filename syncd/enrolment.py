"""How a node comes to be: the root by `init`, any other by `join` with a one-time token of its parent.

Enters: a directory, a configuration, a token. Leaves: files and database of a node that `open_node` opens; at the
parent one node record. Must hold: run again after a power cut at any point, each goes on and ends the same; a token
serves one node, once; a lost reply is answered again; nobody is enrolled for a unit that another node keeps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from msgspec.structs import replace

from syncd import setup
from syncd.clock import Clock, instant_of, system_clock
from syncd.config import CONFIG_FILE, Config, load_config, load_registry, write_config
from syncd.errors import AlreadyRunning, ConfigError, WrongPeer
from syncd.identity_files import ensure_keys, ensure_recovery, ensure_root, new_tls_keys, save_joined
from syncd.inputs.mint import mint
from syncd.language import say
from syncd.node.holding import INIT, JOIN, hold
from syncd.node_files import DATABASE_FILE, connector, open_store
from syncd.positions import POSITIONS_FILE
from syncd.security import enrol
from syncd.security.enrol import JoinReply, NodeInfo
from syncd.security.identity import SIGNING_KEY_FILE, NodeKeys, RandomBytes
from syncd.security.token import Token, decode_token, require_not_expired
from syncd.security.validity import validities
from syncd.setup import Place
from syncd.store.files import is_taken, make_room
from syncd.store.sqlite_causes import LOST
from syncd.system import make_secret_directory
from syncd.tree import NodeRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """The unit a root is made for."""

    code: str
    name: str
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A node that exists now. `already`: it was complete before, nothing was changed."""

    node_id: str
    unit_id: str
    unit_code: str
    unit_name: str
    already: bool = False
    moved_to: Path | None = None  # what an earlier database had left where this one is


def init_root(
    directory: Path, unit: Unit, config: Config, *, clock: Clock = system_clock, random_bytes: RandomBytes = os.urandom
) -> Made:
    """Make the root of a tree: keys, authority, recovery key, database with its own unit. Idempotent.

    Raises ConfigError when the directory is another node's already.
    """
    load_registry(config, directory)  # before anything is made
    if standing := _standing(directory, config):
        return _same_root(directory, standing, unit)
    make_secret_directory(directory)
    with hold(directory, INIT):
        _refuse_lost(directory, config)
        moved_to = _room(directory, config, clock)
        node_keys = ensure_keys(directory, config, random_bytes)
        facts = _facts(directory, config)
        if facts.get("created_at"):  # by another process, a moment ago
            return _same_root(directory, facts, unit)
        ensure_root(directory, node_keys.node_id, clock() // 1000)
        place = Place(
            name=config.name or unit.name, unit_id=facts.get("unit_id") or _mint(node_keys, clock, random_bytes),
            unit_code=unit.code, unit_name=unit.name, unit_level=unit.level, ancestors=(),
            recovery_public=ensure_recovery(directory, random_bytes), foreign_writes=config.foreign_writes,
        )  # fmt: skip
        write_config(directory, replace(config, name=place.name))
        return _create(directory, config, node_keys, place, clock, moved_to)


def join(
    directory: Path,
    token_text: str,
    config: Config,
    *,
    clock: Clock = system_clock,
    random_bytes: RandomBytes = os.urandom,
) -> Made:
    """Enrol the node in `directory` at the parent its token names. With `config.listen` it may have children itself.

    Raises TokenError, WrongPeer, ParentUnreachable; after any of them the same call may be made again. A node that is
    enrolled already renews its certificates.
    """
    token = decode_token(token_text)
    require_not_expired(token, clock() // 1000)
    load_registry(config, directory)
    standing = _standing(directory, config)
    if standing and standing.get("parent_id") != token.parent_id:
        raise _other(directory, standing, f"{token.unit_code} {token.unit_name}")
    make_secret_directory(directory)
    with _alone(directory, standing):
        moved_to = _room(directory, config, clock)
        node_keys = ensure_keys(directory, config, random_bytes)
        facts = _facts(directory, config)
        if facts.get("created_at"):
            node_keys.require_database(facts, directory)
        reply = _ask(directory, token, node_keys, config, config.name or token.unit_name)
        settings = replace(
            config, name=config.name or facts.get("name") or token.unit_name,
            parent_urls=config.parent_urls or list(token.parent_urls),
        )  # fmt: skip
        write_config(directory, settings)
        if facts.get("created_at"):
            return _made(facts, already=True)
        return _create(directory, settings, node_keys, _place(reply, settings), clock, moved_to)


def _room(directory: Path, config: Config, clock: Clock) -> Path | None:
    """Move aside what an earlier database has left where a new one is made, which would take it for its own."""
    return make_room(directory / DATABASE_FILE, instant_of(clock())) if config.is_sqlite else None


def _refuse_lost(directory: Path, config: Config) -> None:
    """A root that has worked here is not begun anew under the same keys because its database is gone."""
    path = directory / DATABASE_FILE
    if config.is_sqlite and (directory / POSITIONS_FILE).exists() and not is_taken(path):
        raise LOST.error(place=path)


def _ask(directory: Path, token: Token, node_keys: NodeKeys, config: Config, name: str) -> JoinReply:
    """The two steps over the network: prove the parent, then show the secret."""
    from syncd.net.client import JoinClient

    tls_keys = new_tls_keys(config)
    client = JoinClient(token)
    ca_pem = client.fetch_ca()
    _require_begun(ca_pem, token)
    body = client.join(ca_pem, enrol.encode_request(enrol.build_request(token, node_keys, tls_keys, name)))
    reply = enrol.decode_reply(body)
    enrol.check_reply(reply, token, node_keys, tls_keys, ca_pem)
    save_joined(directory, tls_keys, reply.certificate_pem, reply.issuer_pem, ca_pem)
    return reply


def _require_begun(ca_pem: str, token: Token) -> None:
    """The token tells the parent's time whatever this clock says: an authority that begins after the token has ended
    was made while the parent's clock was far ahead."""
    begins_s = validities(ca_pem)[0][0]
    if begins_s > token.expires_s:
        raise WrongPeer(
            say(
                "chứng thư gốc của cấp trên đến {when} mới có hiệu lực: được tạo khi đồng hồ ở đó chạy nhanh",
                "the parent's root certificate is not valid yet (from {when}): it was made while the parent's clock was"
                " ahead",
                when=instant_of(int(begins_s * 1000)),
            ),
            say(
                "đồng hồ máy này không phải nguyên nhân; nhờ người quản trị cấp trên chạy: syncd status --check",
                "this computer's clock is not the cause; have the parent's operator run: syncd status --check",
            ),
        )


def _create(
    directory: Path, config: Config, node_keys: NodeKeys, place: Place, clock: Clock, moved_to: Path | None
) -> Made:
    """Tables, triggers and the first rows; `created_at` comes last and says that all is there."""
    if not config.is_sqlite:
        from syncd.store.postgres_roles import require_rights

        require_rights(config.database)
    setup.create_schema(
        connector(directory, config),
        config.schema_dialect,
        load_registry(config, directory),
        node_keys,
        place,
        where=str(directory / DATABASE_FILE),
    )
    store = open_store(directory, config)
    try:
        setup.record_place(store, node_keys, place, clock())
        if not config.is_sqlite:
            from syncd.store.postgres_roles import give_rights

            give_rights(store)
    finally:
        store.close()
    return _made(_facts(directory, config), already=False, moved_to=moved_to)


def _place(reply: JoinReply, config: Config) -> Place:
    return Place(
        name=config.name, unit_id=reply.unit_id, unit_code=reply.unit_code, unit_name=reply.unit_name, unit_level="",
        ancestors=tuple(_record(info) for info in reply.parents), recovery_public=reply.recovery_public,
        foreign_writes=config.foreign_writes,
    )  # fmt: skip


def _record(info: NodeInfo) -> NodeRecord:
    return NodeRecord(
        node_id=info.node_id, parent_id=info.parent_id, name=info.name, signing_public=info.ed25519_public,
        sealing_public=info.x25519_public, unit_id=info.unit_id, term=1, status="enrolled",
    )  # fmt: skip


def _facts(directory: Path, config: Config) -> Mapping[str, str]:
    """What the database says of its node so far; nothing when there is none."""
    if config.is_sqlite and not is_taken(directory / DATABASE_FILE):
        return {}
    connection = connector(directory, config)()
    try:
        present = (
            "SELECT 1 FROM sqlite_master WHERE name = 'syncd_meta'" if config.is_sqlite
            else "SELECT 1 WHERE to_regclass('syncd_meta') IS NOT NULL"
        )  # fmt: skip
        if connection.execute(present).fetchone() is None:
            return {}
        return dict(connection.execute("SELECT key, value FROM syncd_meta").fetchall())
    finally:
        connection.close()


def _standing(directory: Path, config: Config) -> Mapping[str, str]:
    """What a finished node in `directory` says of itself, running or not; nothing where there is none. Raises
    ConfigError where it is there with another database than `config` names.
    """
    if not (directory / SIGNING_KEY_FILE).exists():
        return {}
    kept = load_config(directory, {}) if (directory / CONFIG_FILE).exists() else config
    if kept.is_sqlite and not is_taken(directory / DATABASE_FILE):
        return {}
    facts = _facts(directory, kept)
    if not facts.get("created_at"):
        return {}
    if (kept.database, kept.encrypted) != (config.database, config.encrypted):
        raise ConfigError(
            say("trong {directory} đã có {node}, với cơ sở dữ liệu khác",
                "{node} is in {directory} already, with another database",
                directory=directory, node=_node_words(facts)),
            _use_it(),
        )  # fmt: skip
    return facts


def _same_root(directory: Path, standing: Mapping[str, str], unit: Unit) -> Made:
    NodeKeys.load(directory).require_database(standing, directory)
    if standing.get("parent_id") or standing["unit_code"] != unit.code:
        raise _other(directory, standing, f"{unit.code} {unit.name}")
    return _made(standing, already=True)


def _node_words(facts: Mapping[str, str]) -> str:
    """A node by its unit and its short id, and what it is in the tree."""
    above = facts.get("parent_id")
    role = say("cấp trên: máy {tag}", "parent: {tag}", tag=above[28:]) if above else say("máy gốc", "a root")
    return say("máy {code} {name} · {tag} ({role})", "node {code} {name} · {tag} ({role})", code=facts["unit_code"],
               name=facts["unit_name"], tag=facts["node_id"][28:], role=role)  # fmt: skip


def _other(directory: Path, standing: Mapping[str, str], wanted: str) -> ConfigError:
    return ConfigError(
        say(
            "trong {directory} đã có {node}, không phải máy {wanted} như đã nêu",
            "{node} is in {directory} already, not {wanted} as it was asked for",
            directory=directory, node=_node_words(standing), wanted=wanted,
        ),
        _use_it(),
    )  # fmt: skip


def _use_it() -> str:
    return say(
        "dùng như hiện có (`[[syncd status]]`), hoặc nêu thư mục trống (và cơ sở dữ liệu trống)",
        "use it as it is (`[[syncd status]]`), or name an empty directory (and an empty database)",
    )


@contextmanager
def _alone(directory: Path, standing: Mapping[str, str]) -> Iterator[None]:
    """Hold the directory's lock. Raises AlreadyRunning with the node that runs there."""
    try:
        lock = hold(directory, JOIN)
    except AlreadyRunning as error:
        if not standing:
            raise
        raise AlreadyRunning(
            say("trong {directory} đã có {node}, đang chạy", "{node} is in {directory} already, and runs",
                directory=directory, node=_node_words(standing)),
            say("máy đang chạy tự gia hạn chứng thư; muốn dùng mã gia nhập này thì dừng nó trước",
                "a running node renews its certificates itself; to use this token stop it first"),
        ) from error  # fmt: skip
    with lock:
        yield


def _mint(node_keys: NodeKeys, clock: Clock, random_bytes: RandomBytes) -> str:
    return mint(1, node_keys.tag, clock(), Random(random_bytes(32)))[0]


def _made(facts: Mapping[str, str], *, already: bool, moved_to: Path | None = None) -> Made:
    return Made(
        node_id=facts["node_id"], unit_id=facts["unit_id"], unit_code=facts["unit_code"], unit_name=facts["unit_name"],
        already=already, moved_to=moved_to,
    )  # fmt: skip
