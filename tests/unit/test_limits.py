"""A bound stands in one place: two of one name that were equal once are soon two different ones."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import syncd

ROOT = Path(syncd.__file__).parents[1]
# Bounds that are written down twice on purpose, and why.
TWICE = {
    "BYTES_MAX": "a migration keeps the words it was released with",
    "INT_MAX": "conflict/ leans on the standard library alone",
}


def bounds() -> dict[tuple[str, str], list[str]]:
    """Name and value of every bound → the modules that state it as a number."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for package in ("syncd", "schema", "conflict"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                target = node.targets[0] if isinstance(node, ast.Assign) else None
                if isinstance(node, ast.AnnAssign):
                    target = node.target
                if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(target, ast.Name):
                    continue
                if target.id.endswith("_MAX") and node.value is not None:
                    value = ast.unparse(node.value)
                    found[target.id, value].append(path.relative_to(ROOT).as_posix())
    return found


def test_there_are_bounds_to_examine() -> None:
    assert len(bounds()) > 100


def test_a_bound_of_one_name_and_value_stands_in_one_module() -> None:
    twice = {name: places for (name, _value), places in bounds().items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in TWICE} == {}
    assert twice.keys() == TWICE.keys(), "an exception nobody needs any more"
