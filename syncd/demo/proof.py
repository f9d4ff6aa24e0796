"""The end of the demo: every node's rows proven against what their keepers stated, and counted.

Enters: a tree that has come to rest. Leaves: proofs per node, totals, one JSON document.
Must hold: the rows are read again (as `syncd verify --full` does); what cannot be proven is not called equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from syncd.cli.output import GREEN, RED, paint, plain, table
from syncd.cli.verify import difference_words
from syncd.demo.story import COUNTED, TIERS, Counts, Story, counts_of, node_words
from syncd.demo.tree import COMMUNE, DISTRICT, PROVINCE, DemoNode, DemoTree
from syncd.disagreements import Conflict, conflicts
from syncd.language import number, say
from syncd.prove import DIFFERS, EQUAL, OPEN, StreamProof, prove

DIGEST_CHARS = 16
# Own streams confirmed by the custodian, received ones applied, nothing left to write.
AT_REST = """
    SELECT (SELECT count(*) FROM syncd_journal)
         + (SELECT count(*) FROM syncd_stream WHERE own = 0 AND applied_seq < held_seq)
         + (SELECT count(*) FROM syncd_stream WHERE own = 1 AND custodian_seq < held_seq AND ? = 0)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProof:
    """One node's content, read again."""

    node: DemoNode
    counts: Counts
    streams: tuple[StreamProof, ...]

    @property
    def differing(self) -> tuple[StreamProof, ...]:
        return tuple(stream for stream in self.streams if stream.state == DIFFERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The whole tree's."""

    nodes: tuple[NodeProof, ...]
    conflicts: tuple[Conflict, ...]
    differences: tuple[str, ...]

    @property
    def converged(self) -> bool:
        return not self.differences


def sabotage(tree: DemoTree, story: Story) -> None:
    """Alter one value at a district behind its daemon's back: the marker of applying keeps the triggers silent."""
    district = tree.tier(DISTRICT)[0]
    with district.program() as program:
        program.execute("BEGIN IMMEDIATE")
        program.execute("INSERT INTO syncd_applying (one) VALUES (1)")
        program.execute("UPDATE person SET phone = '0999999999' WHERE id = (SELECT min(id) FROM person)")
        program.execute("DELETE FROM syncd_applying")
        program.execute("COMMIT")
    story.tell(
        paint(
            say(
                "  Phá hoại: sửa một giá trị ở {name}, triggers tắt.",
                "  Sabotage: one value at {name} is altered with the triggers off.",
                name=district.name,
            ),
            RED,
        )
    )


def prove_all(tree: DemoTree, story: Story) -> Proof:
    story.step(
        say("Đối soát toàn bộ: syncd verify --full ở cả chín máy", "Proof: syncd verify --full at all nine nodes")
    )
    tree.wait(say("mọi máy lắng lại", "every node at rest"), lambda: all(_at_rest(node) for node in tree.nodes))
    provable = _provable(tree)
    tree.wait(
        say("điểm đối soát ở mọi máy", "checkpoints at every node"),
        lambda: all(OPEN not in states for states in map(provable, tree.nodes)),
    )
    nodes = tuple(prove_node(node) for node in tree.nodes)
    found = Proof(nodes=nodes, conflicts=_conflicts(tree), differences=tuple(_differences(nodes)))
    _show(story, found)
    return found


def prove_node(node: DemoNode) -> NodeProof:
    """Every stream of a node, its rows read again in one snapshot."""
    from syncd.keys import KeyRing
    from syncd.security.identity import NodeKeys

    ring = KeyRing(NodeKeys.load(node.directory))
    with node.store.read() as tx:
        streams = tuple(prove(tx, node.store.registry, ring))
    return NodeProof(node=node, counts=counts_of(node), streams=streams)


def document(found: Proof | None, duration_s: float, error: str | None) -> dict[str, Any]:
    """What `--json` prints last."""
    return {
        "converged": found is not None and found.converged,
        "nodes": [] if found is None else [_node_document(each) for each in found.nodes],
        "conflicts": [] if found is None else plain(found.conflicts),
        "differences": [] if found is None else list(found.differences),
        "error": error,
        "duration_s": round(duration_s, 2),
    }


def _node_document(each: NodeProof) -> dict[str, Any]:
    return {
        "name": each.node.name,
        "code": each.node.code,
        "tier": each.node.tier,
        "node_id": each.node.node_id,
        "rows": each.counts.rows,
        "positions": {stream.stream_id: [stream.seq, stream.hash] for stream in each.streams},
        "digests": {
            stream.stream_id: {
                "about": stream.about,
                "kind": stream.kind,
                "state": stream.state,
                "sha256": stream.digest,
            }
            for stream in each.streams
        },
    }


def _at_rest(node: DemoNode) -> bool:
    return bool(node.value(AT_REST, (int(node.parent is None),)) == 0)


def _provable(tree: DemoTree) -> Callable[[DemoNode], set[str]]:
    """Whether a node's streams stand at checkpoints; a node that was once found so at rest is not asked again."""
    done: set[str] = set()

    def states(node: DemoNode) -> set[str]:
        if node.node_id in done and _at_rest(node):
            return {EQUAL}
        found = {stream.state for stream in prove_node(node).streams}
        if OPEN not in found:
            done.add(node.node_id)
        return found

    return states


def _conflicts(tree: DemoTree) -> tuple[Conflict, ...]:
    with tree.tier(DISTRICT)[0].store.read() as tx:
        return tuple(conflicts(tx, True))


def _differences(nodes: tuple[NodeProof, ...]) -> list[str]:
    """Everything that is not equal, in words; empty when all is."""
    found = [
        say(
            "{node}: nhật ký {stream}: {what}",
            "{node}: stream {stream}: {what}",
            node=each.node.name,
            stream=stream.about,
            what=difference_words(line),
        )
        for each in nodes
        for stream in each.differing
        for line in stream.differing
    ]
    found += [
        say(
            "{node}: nhật ký {stream}: chưa kết luận được ({why})",
            "{node}: stream {stream}: not provable ({why})",
            node=each.node.name,
            stream=stream.about,
            why=stream.reason,
        )
        for each in nodes
        for stream in each.streams
        if stream.state == OPEN
    ]
    return found + _unequal_totals(nodes)


def _unequal_totals(nodes: tuple[NodeProof, ...]) -> list[str]:
    """The province must count what its communes count, and each district what its own do."""
    found = []
    for each in nodes:
        below = [other for other in nodes if other.node.tier == COMMUNE and each.node in _line(other.node)]
        for name in COUNTED:
            total = sum(other.counts.rows[name] for other in below)
            if below and total != each.counts.rows[name]:
                found.append(
                    say(
                        "{node}: bảng {table} có {here} bản ghi, các xã có {below}",
                        "{node}: table {table} has {here} rows, its communes {below}",
                        node=each.node.name,
                        table=name,
                        here=each.counts.rows[name],
                        below=total,
                    )
                )
    return found


def _line(node: DemoNode) -> list[DemoNode]:
    line = [node]
    while line[-1].parent is not None:
        line.append(line[-1].parent)
    return line


def _show(story: Story, found: Proof) -> None:
    """Every node on a line, then every register: what its commune, its district and the province hold of it."""
    headers = [
        "",
        say("nhân khẩu", "persons"),
        say("hộ", "households"),
        say("nhật ký", "streams"),
        say("kết quả", "result"),
    ]
    lines = [
        [
            node_words(each.node),
            number(each.counts.rows["person"]),
            number(each.counts.rows["household"]),
            str(len(each.streams)),
            paint(say("LỆCH", "DIFFERS"), RED) if each.differing else paint(say("khớp", "equal"), GREEN),
        ]
        for each in found.nodes
    ]
    story.tell(table(headers, lines, (1, 2, 3), indent="  "))
    story.tell("\n" + _registers(found))
    for text in found.differences:
        story.bad(text)
    if found.converged:
        story.good(
            say(
                "mọi tuyến khớp nhau: cùng số bản ghi, cùng nội dung",
                "every tier agrees: the same rows, the same content",
            )
        )


def _registers(found: Proof) -> str:
    """SHA-256 of each register's rows, tier by tier; a digest that is not the commune's own is shown in red."""
    headers = [
        say("sha-256 nội dung sổ", "sha-256 of the register"),
        *(TIERS[tier].here for tier in (COMMUNE, DISTRICT, PROVINCE)),
    ]
    lines = []
    for each in found.nodes:
        if each.node.tier != COMMUNE:
            continue
        own = next((stream for stream in each.streams if stream.own and stream.kind == "register"), None)
        if own is None:
            continue
        held = [_digest_of(other, own.stream_id) for other in found.nodes if other.node in _line(each.node)]
        lines.append(
            [
                f"{each.node.code} {each.node.name}",
                *(paint(digest, GREEN if digest == own.digest[:DIGEST_CHARS] else RED) for digest in reversed(held)),
            ]
        )
    return table(headers, lines, indent="  ")


def _digest_of(each: NodeProof, stream_id: str) -> str:
    return next((stream.digest[:DIGEST_CHARS] for stream in each.streams if stream.stream_id == stream_id), "")
