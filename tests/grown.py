"""Trees of one shape are built once and copied: settling one takes a second, copying its databases some milliseconds.

Enters: a builder without nodes, the function that builds and settles the shape, DSNs of empty databases by node.
Leaves: the builder as that function would leave it, its nodes opened anew. Must hold: a tree depends on shape, seed and
tables alone, so that a copy is what would have been built; databases keep no settings (made anew from another).
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncd.security.identity import NodeKeys
from syncd.setup import Place
from tests.memory import in_memory
from tests.postgres import copy_database
from tests.trees import TreeBuilder, built

Build = Callable[[TreeBuilder, Mapping[str, str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sown:
    """One node of a shape."""

    name: str
    code: str
    unit_id: str
    keys: NodeKeys
    place: Place
    parent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A tree at rest with nothing open. `databases`: node → its database on PostgreSQL."""

    folder: Path
    nodes: tuple[Sown, ...]
    databases: Mapping[str, str]
    random_state: Any
    now_ms: int


_shapes: dict[tuple[object, ...], Shape] = {}


def grow(builder: TreeBuilder, build: Build, dsns: Mapping[str, str]) -> None:
    """`build(builder, dsns)`, or a copy of what it built before."""
    servers = {name: make_conninfo(dsn, dbname="postgres") for name, dsn in dsns.items()}
    key = (build, type(builder), builder.seed, builder.registry.tables, *sorted(servers.items()))
    if key not in _shapes:
        _shapes[key] = _built(builder, build, dsns)
    _copy(_shapes[key], builder, dsns)


def _built(like: TreeBuilder, build: Build, dsns: Mapping[str, str]) -> Shape:
    folder = Path(tempfile.mkdtemp(prefix="syncd-shape-", dir=in_memory()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    databases = {name: f"syncd_shape_{uuid.uuid4().hex[:16]}" for name in dsns}
    for name, dsn in dsns.items():
        copy_database(make_conninfo(dsn, dbname=databases[name]), like=_name(dsn))
    before = list(built)
    tree = type(like)(folder, like.seed, like.registry)
    build(tree, {name: make_conninfo(dsn, dbname=databases[name]) for name, dsn in dsns.items()})
    for node in tree.nodes:
        node.store.close()
    built[:] = before
    sown = tuple(
        Sown(
            name=node.name, code=node.unit_code, unit_id=node.unit_id, keys=node.keys, place=node.place,
            parent=None if node.parent is None else node.parent.name,
        )
        for node in tree.nodes
    )  # fmt: skip
    return Shape(
        folder=folder, nodes=sown, databases=databases, random_state=tree.random.getstate(), now_ms=tree.clock.now_ms
    )


def _copy(shape: Shape, builder: TreeBuilder, dsns: Mapping[str, str]) -> None:
    builder.random.setstate(shape.random_state)
    builder.clock.now_ms = shape.now_ms
    for each in shape.nodes:
        dsn = dsns.get(each.name)
        if dsn is None:
            shutil.copyfile(shape.folder / f"{each.name}.db", builder.folder / f"{each.name}.db")
        else:
            copy_database(dsn, like=shape.databases[each.name])
        parent = next((node for node in builder.nodes if node.name == each.parent), None)
        builder.open(each.name, each.code, each.unit_id, each.keys, each.place, parent, dsn)


def _name(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["dbname"])
