"""Trees that are built once per process and copied for every seed: three shapes, none with a tier that has a name.

Enters: a shape, a folder, a clock. Leaves: running nodes over copies of the databases.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from schema.tables import registry
from syncd.exchange import Desk, Link
from syncd.pipeline import Node
from syncd.store.base import Failpoint, Store
from syncd.store.sqlite import SqliteStore
from tests.trees import TreeBuilder, TreeNode, finish

# Name → parent. What has no child keeps a register that clerks write.
SHAPES: dict[str, dict[str, str | None]] = {
    "two branches": {
        "root": None, "north": "root", "south": "root", "one": "north", "two": "north", "three": "south",
    },
    "three tiers": {"root": None, "district": "root", "commune": "district"},
    "no districts": {"root": None, "commune-a": "root", "commune-b": "root"},
    "four levels": {"root": None, "region": "root", "district": "region", "commune": "district"},
    "two communes": {"root": None, "district": "root", "one": "district", "two": "district"},
}  # fmt: skip
LARGE = "twenty nodes"
ALL_SHAPES = SHAPES | {
    LARGE: {"root": None, **{f"d{n}": "root" for n in range(3)}, **{f"c{n:02}": f"d{n % 3}" for n in range(16)}}
}
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The databases of a settled tree, closed, and what is needed to open copies of them."""

    folder: Path
    nodes: tuple[TreeNode, ...]

    def copy(
        self,
        folder: Path,
        clock_of: Callable[[str], Callable[[], int]],
        source: random.Random,
        failpoint: Callable[[str], Failpoint],
    ) -> list[TreeNode]:
        """The same tree over databases in `folder`; `clock_of` and `failpoint` give each node's."""
        made: dict[str, TreeNode] = {}
        for old in self.nodes:
            path = folder / f"{old.name}.db"
            shutil.copyfile(self.folder / f"{old.name}.db", path)
            opener = _opener(path, failpoint(old.name))
            node = Node(opener(), old.keys, clock_of(old.name), source.randbytes)
            parent = None if old.parent is None else made[old.parent.name]
            link = None if parent is None else Link(node, parent.node.node_id)
            made[old.name] = TreeNode(
                old.name, old.unit_id, old.unit_code, node, old.keys, Desk(node), link, parent, old.place, opener
            )
            if parent is not None:
                parent.children.append(made[old.name])
        return list(made.values())


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder, in memory where the machine has such a place: fsync is still called and costs nothing."""
    return tempfile.TemporaryDirectory(prefix="syncd-sim-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)


@lru_cache(maxsize=len(ALL_SHAPES))
def template(shape: str) -> Template:
    """The settled tree of a shape. The folder stays until `forget`."""
    keeper = scratch_folder()
    _KEPT.append(keeper)
    builder = TreeBuilder(Path(keeper.name))
    made: dict[str, TreeNode] = {}
    for number, (name, parent) in enumerate(ALL_SHAPES[shape].items()):
        code = f"4{number:02}"
        made[name] = builder.root(name, code) if parent is None else builder.child(made[parent], name, code)
    builder.settle()
    finish()
    return Template(folder=Path(keeper.name), nodes=tuple(made.values()))


def _opener(path: Path, failpoint: Failpoint) -> Callable[[], Store]:
    tables = registry()
    return lambda: SqliteStore(path, tables, failpoint=failpoint)


def forget() -> None:
    """Remove every template's folder, when the run is over."""
    template.cache_clear()
    while _KEPT:
        _KEPT.pop().cleanup()


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
