"""A commune's disk image runs twice before anything of it was sealed, both machines are typed at, and the unit passes
on: each takes its streams back whatever answer came first, and the unit has a keeper (I4, I12, I13)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from syncd import keeping
from syncd.framing import FrameReader
from tests.integration.copies import names
from tests.integration.shapes import ThreeTiers, add_person
from tests.integration.test_rejoin_clones import Clone
from tests.trees import TreeNode, step


def typed_twice(plain: ThreeTiers) -> Clone:
    """The clone has sealed, handed its unit over and said so above; the original is typed at and knows nothing of it.
    It runs now."""
    clone = Clone(plain.commune, plain.builder.folder)
    add_person(plain.commune, full_name="Máy một", birth_date="1991-01-01")
    clone.swap()
    add_person(plain.commune, full_name="Máy hai", birth_date="1962-01-01")
    plain.settle()
    keeping.order(plain.province.node, plain.commune.unit_id, plain.district.node.node_id, author="An", reason="thử")
    plain.settle()
    assert names(plain.district) == {"Máy hai"}
    clone.swap()
    return clone


def asks(at: TreeNode) -> Callable[[], None]:
    """A question is answered by the parent now; what is returned takes the answer."""
    assert at.link is not None
    assert at.parent is not None
    reply, down = at.parent.desk.pull(at.node.node_id, at.link.pull(0))
    link = at.link

    def take() -> None:
        link.take_pull(reply, FrameReader(link.unfinished(reply)).feed(down.body))

    return take


def greets(at: TreeNode) -> None:
    assert at.link is not None
    assert at.parent is not None
    now = at.node.clock()
    at.link.take_hello(at.parent.desk.hello(at.node.node_id, at.link.hello()), now, now)


def ends_its_term(at: TreeNode) -> None:
    """It hears of the order by a question, before it has greeted its parent, and hands over what it has."""
    asks(at)()
    at.node.write()
    at.node.apply_all()
    at.node.settle()
    assert at.value("SELECT ended FROM syncd_stream WHERE own = 1 AND kind = 1") == 1


@pytest.mark.parametrize("answered", ["before", "after"], ids=["answer under way", "asked anew"])
def test_both_have_signed_an_end_and_the_original_finds_back(plain: ThreeTiers, answered: str) -> None:
    clone = typed_twice(plain)
    ends_its_term(plain.commune)
    take = asks(plain.commune)  # says nothing yet of what the parent holds otherwise
    greets(plain.commune)
    if answered == "before":
        take()
        asks(plain.commune)()
    clone.close()  # and the other machine is gone

    plain.settle()
    plain.commune.reopen()
    plain.settle()

    assert plain.commune.rows("SELECT kind FROM syncd_stream WHERE rejoin_seq > 0 OR state <> 'ok'") == []
    assert names(plain.province) == names(plain.district) == {"Máy một", "Máy hai"}
    assert plain.district.value("SELECT mine FROM syncd_keeper WHERE unit_id = ?", (plain.commune.unit_id,)) == 1


def test_nothing_is_sealed_once_the_parent_is_known_to_hold_streams_of_this_node_that_are_not_here(
    plain: ThreeTiers,
) -> None:
    clone = typed_twice(plain)
    greets(plain.commune)
    assert plain.commune.node.rejoin.holds_back()
    assert plain.commune.node.write() == 0
    plain.settle()
    assert not plain.commune.node.rejoin.holds_back()
    assert names(plain.province) == {"Máy một", "Máy hai"}
    assert plain.province.rows("SELECT kind FROM syncd_case WHERE kind = 'fork'") == []
    clone.close()


def test_stream_that_cannot_give_way_keeps_no_other_from_coming(
    plain: ThreeTiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with one own log, the others are taken back; that one says why it stands still."""
    clone = typed_twice(plain)
    ends_its_term(plain.commune)
    stream_id = plain.commune.value("SELECT stream_id FROM syncd_stream WHERE own = 1 AND kind = 1")
    with plain.commune.store.apply("sabotage") as tx:
        tx.run("UPDATE syncd_log SET envelope = ? WHERE stream_id = ? AND mark = 0", (b"x" * 40, stream_id))
    for _ in range(4):
        step(plain.commune)
    rows = plain.commune.rows("SELECT kind, state, rejoin_seq > 0 FROM syncd_stream WHERE own = 1 ORDER BY kind")
    assert rows == [(1, "stopped", 1), (3, "ok", 0)]
    plain.commune.broken = True
    clone.close()
