"""A disk image that runs twice: two machines of one node take turns, and nothing either of them wrote is lost (I13)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.exchange import Desk, Link
from syncd.pipeline import Node
from syncd.store import sqlite
from syncd.store.base import Store
from tests.integration.copies import assert_equal, copy_of, names, propose_phone
from tests.integration.shapes import ThreeTiers, add_person
from tests.trees import TreeNode, step


class Clone:
    """A disk image started a second time: two machines are one node and take turns with the network."""

    def __init__(self, at: TreeNode, folder: Path) -> None:
        self._at = at
        path = folder / "clone.db"
        shutil.copyfile(copy_of(at).path, path)
        self._others: tuple[Callable[[], Store], Node | None] = (self._opener(path), None)

    def _opener(self, path: Path) -> Callable[[], Store]:
        return lambda: sqlite.SqliteStore(path, self._at.store.registry)

    def swap(self) -> None:
        """The other machine runs now."""
        at = self._at
        opener, node = self._others
        self._others = (at.opener, at.node)
        at.opener = opener
        at.node = node or Node(opener(), at.keys, at.node.clock, at.node._random)
        at.desk = Desk(at.node)
        at.link = None if at.parent is None else Link(at.node, at.parent.node.node_id)

    def close(self) -> None:
        if self._others[1] is not None:
            self._others[1].store.close()


@pytest.mark.parametrize("is_sealed", [False, True], ids=["unsealed", "sealed"])
def test_two_machines_of_one_disk_image_lose_nothing(plain: ThreeTiers, is_sealed: bool) -> None:
    shared = add_person(plain.commune, full_name="Chung", phone="0")
    plain.prove()
    clone = Clone(plain.commune, plain.builder.folder)
    add_person(plain.commune, full_name="Máy một", birth_date="1991-01-01")
    if is_sealed:
        plain.commune.node.write()
    clone.swap()
    add_person(plain.commune, full_name="Máy hai", birth_date="1962-01-01")
    plain.commune.sql("UPDATE person SET phone = '2' WHERE id = ?", (shared,))
    plain.settle()  # the second machine is first at the district
    assert names(plain.province) == {"Chung", "Máy hai"}
    clone.swap()
    plain.commune.sql("UPDATE person SET education = '05' WHERE id = ?", (shared,))
    plain.settle()
    assert names(plain.province) == names(plain.commune) == {"Chung", "Máy một", "Máy hai"}
    assert plain.province.rows("SELECT phone, education FROM person WHERE full_name = 'Chung'") == [("2", "05")]
    assert_equal(plain)
    clone.swap()  # and on they go, in turns
    add_person(plain.commune, full_name="Máy hai nữa", birth_date="1963-01-01")
    plain.settle()
    assert names(plain.commune) == {"Chung", "Máy một", "Máy hai", "Máy hai nữa"}
    clone.swap()
    plain.settle()
    assert names(plain.commune) == {"Chung", "Máy một", "Máy hai", "Máy hai nữa"}
    assert_equal(plain)
    clone.close()


def test_two_machines_of_a_district_image_lose_nothing_and_their_communes_follow(plain: ThreeTiers) -> None:
    person = add_person(plain.commune, phone="0")
    plain.prove()
    clone = Clone(plain.district, plain.builder.folder)
    propose_phone(plain.district, person, "1")
    plain.district.node.write()
    step(plain.commune)  # has heard of the first machine's word, which never reached the province
    clone.swap()
    household = "INSERT INTO household (number, kind) VALUES (?, 'family')"
    plain.district.sql(household, ("2",))
    plain.settle()
    clone.swap()
    plain.district.sql(household, ("1",))
    plain.settle()
    assert {row[0] for row in plain.province.rows("SELECT number FROM household")} == {"1", "2"}
    assert plain.province.value("SELECT phone FROM person WHERE id = ?", (person,)) == "1"
    assert_equal(plain)
    clone.close()
