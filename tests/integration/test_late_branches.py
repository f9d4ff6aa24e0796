"""Who writes ever more pasts beyond the end of its term is not kept in all of them: a person has to read them (I6)."""

from __future__ import annotations

from syncd import limits, log, quarantine
from syncd.envelope import Mark, parse_envelope
from tests.integration.handovers import add, at, force
from tests.trees import TreeBuilder, step


def test_branches_beyond_an_end_are_bounded(tree: TreeBuilder) -> None:
    one, north = at(tree, "one"), at(tree, "north")
    add(one, one.unit_id, "Một")
    tree.settle()
    stream_id = str(one.value("SELECT stream_id FROM syncd_stream WHERE kind = 1 AND own = 1"))
    with one.store.read() as tx:
        end = log.stream(tx, stream_id)
    assert end is not None
    force(tree, one.unit_id, "two")
    for node in (at(tree, "province"), north):
        step(node)
    found = []
    for _ in range(limits.LATE_BRANCHES_MAX + 3):
        with one.store.apply("hostile") as tx:
            begun = log.stream(tx, stream_id)
            assert begun is not None
            one.node.own.append(tx, begun, Mark.CHECKPOINT, {}, 0)
            [entry] = log.entries(tx, stream_id, end.held_seq, 1 << 20)
            longer = log.stream(tx, stream_id)
            assert longer is not None
            log.cut(tx, longer, end.held_seq)
        found.append(entry.envelope)
        one.node.own.clear()
    with north.store.apply("test") as tx:
        held = log.stream(tx, stream_id)
        assert held is not None
        for data in found:
            quarantine.put(tx, north.node.tree(), held, parse_envelope(data), data, 0)
    assert len({parse_envelope(data).hash for data in found}) > limits.LATE_BRANCHES_MAX
    assert north.value("SELECT count(*) FROM syncd_quarantine") == limits.LATE_BRANCHES_MAX
