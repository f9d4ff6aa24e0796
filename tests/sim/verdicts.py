"""What must hold when a tree has come to rest, by plain SQL.

Enters: the nodes of a tree, the clerks' models. Leaves: nothing, or an AssertionError that names node and table.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from schema.spec import Audience, Kind, Table
from syncd.derived import LATE
from syncd.prove import EQUAL, PAST, prove
from syncd.prune import Cut
from tests.sim.clerk import DECISION, REGISTER, Clerk
from tests.sim.keepers import Keepers, Tables, unnamed
from tests.trees import TreeNode

_TAKEN_BACK = """SELECT id FROM proposal AS p WHERE withdrawn_at IS NOT NULL
    AND EXISTS (SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id AND v.outcome = 'referred')"""
_KEPT_AS = """SELECT p.row_id, v.row_id FROM proposal AS p JOIN verdict AS v ON v.proposal_id = p.id
    WHERE p.operation = 'insert' AND v.outcome = 'accepted' AND p.row_id IS NOT NULL"""
ALARMS = ("fork", "checkpoint_mismatch", "writes_beyond_term")  # what must never be left open


def check_state(node: TreeNode, nodes: Sequence[TreeNode], keepers: Mapping[str, TreeNode]) -> None:
    """Nothing waits, nothing stopped, every own position is at the custodian, every checkpoint was equal."""
    name = node.name
    assert node.value("SELECT count(*) FROM syncd_journal") == 0, f"{name}: journal rows are left"
    behind = [
        row
        for row in node.rows(
            "SELECT kind, unit_id, keeper, held_seq, applied_seq, state, reason, open_from, stream_id FROM syncd_stream"
            " WHERE applied_seq <> held_seq OR state <> 'ok' OR open_from <> 0"
        )
        if _is_read(node, nodes, keepers, *row[:3]) and not _is_unfinished_baseline(nodes, row)
    ]
    assert not behind, f"{name}: streams stand still: {behind}"
    unsettled = node.rows("SELECT kind, held_seq, rejoin_seq FROM syncd_stream WHERE rejoin_seq > 0")
    assert not unsettled, f"{name}: streams not taken back: {unsettled}"
    # Held: for the custodian's eyes, and its row is not decided. Kept: overruled meanwhile, and a case names the row.
    wishes = node.rows(
        "SELECT op, tab, row_id FROM syncd_wish WHERE op <> 'held' AND (op <> 'kept' OR row_id NOT IN"
        " (SELECT row_id FROM syncd_case WHERE kind = 'fork' AND row_id IS NOT NULL AND closed_at IS NULL))"
    )
    assert not wishes, f"{name}: wishes not written down: {wishes}"
    # A baseline behind a newer one, made here or at the root, is sent to nobody any more.
    newest = "SELECT of_id, max(at_seq) FROM syncd_baseline WHERE is_whole = 1 GROUP BY of_id"
    newer = [dict(at.rows(newest)) for at in (node, nodes[0])]
    unheard = [
        row
        for row in node.rows(
            "SELECT s.stream_id, held_seq, custodian_seq, b.of_id, b.at_seq FROM syncd_stream AS s"
            " LEFT JOIN syncd_baseline AS b ON b.stream_id = s.stream_id WHERE own = 1 AND custodian_seq <> held_seq"
        )
        if row[3] is None or all(best.get(row[3], 0) <= row[4] for best in newer)
    ]
    assert not unheard, f"{name}: not at the custodian: {unheard}"
    unequal = node.rows("SELECT stream_id, tab, audience, rows_stated, rows_found FROM syncd_checkpoint WHERE ok <> 1")
    assert not unequal, f"{name}: checkpoints differ: {unequal}"
    unchecked = [
        row
        for row in node.rows(
            "SELECT kind, unit_id, keeper, held_seq FROM syncd_stream AS s"
            " WHERE own = 0 AND kind <> 4 AND ended = 0 AND held_seq > 0 AND NOT EXISTS"
            " (SELECT 1 FROM syncd_checkpoint AS c WHERE c.stream_id = s.stream_id AND c.ok = 1)"
        )
        if _is_read(node, nodes, keepers, *row[:3])
    ]
    assert not unchecked, f"{name}: streams without a checkpoint: {unchecked}"
    # Clerks who type at random make duplicates and the like: those cases are right, whatever they are.
    marks = ", ".join("?" * len(ALARMS))
    alarms = node.rows(
        f"SELECT kind, detail FROM syncd_case WHERE closed_at IS NULL AND row_id IS NULL AND kind IN ({marks})",
        ALARMS,
    )
    assert alarms == [], f"{name}: open cases {alarms}"


def check_proven(node: TreeNode) -> None:
    """`syncd verify --full` finds every stream equal, and nothing that cannot be said yet."""
    with node.store.read() as tx:
        found = prove(tx, node.store.registry, node.node.ring)
    wrong = [(each.kind, each.about, each.keeper, each.seq, each.reason, each.differing) for each in found
             if each.state not in (EQUAL, PAST)]  # fmt: skip
    assert not wrong, f"{node.name}: cannot be proven: {wrong}"


def check_told(node: TreeNode) -> None:
    """Whoever made a proposal knows what became of it, be it that another keeps the unit now; and no value is held for
    a row that only another node decides."""
    untold = node.rows(
        "SELECT p.id FROM proposal AS p WHERE p.withdrawn_at IS NULL AND substr(p.id, 29) = ? AND NOT EXISTS"
        f" (SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id AND {DECISION})"
        " AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.proposal_id = p.id)", (node.keys.tag,),
    )  # fmt: skip
    assert not untold, f"{node.name}: not told what became of its proposals: {untold}"
    held = node.rows(
        "SELECT w.tab, w.row_id FROM syncd_wish AS w JOIN syncd_stream AS s ON s.stream_id = w.stream_id"
        " JOIN syncd_keeper AS k ON k.unit_id = s.unit_id WHERE w.op = 'held' AND k.node_id <> ?", (node.node.node_id,),
    )  # fmt: skip
    assert not held, f"{node.name}: held for ever: {held}"


def _is_unfinished_baseline(nodes: Sequence[TreeNode], row: Sequence[object]) -> bool:
    """Whether it is a baseline whose maker was put back to before it: a later one takes its place."""
    kind, keeper, state, stream_id = row[0], row[2], row[5], row[8]
    maker = next((node for node in nodes if node.node.node_id == keeper), None)
    lost = maker is not None and not maker.rows("SELECT 1 FROM syncd_stream WHERE stream_id = ?", (stream_id,))
    return kind == Kind.BASELINE and state == "ok" and lost


def _is_read(
    at: TreeNode, nodes: Sequence[TreeNode], keepers: Mapping[str, TreeNode], kind: int, unit_id: str | None, by: str
) -> bool:
    """Whether a node still follows a stream: one of at or below it, one about a unit kept there, or said to all by its
    line. `keepers`: unit → who keeps it now. What once concerned it stays as it was."""
    by_id = {node.node.node_id: node for node in nodes}
    if by in by_id and _is_below(by_id[by], at):
        return True
    if kind == Kind.CONTROL or unit_id is None:
        return by in by_id and _is_below(at, by_id[by])
    return unit_id in keepers and _is_below(keepers[unit_id], at)


def _is_below(node: TreeNode | None, of: TreeNode) -> bool:
    while node is not None and node is not of:
        node = node.parent
    return node is of


def check_logs(nodes: Sequence[TreeNode]) -> None:
    """Wherever an envelope is kept, it is the same, byte for byte; no log has a gap above its floor."""
    known: dict[tuple[str, int], tuple[str, bytes]] = {}
    for node in nodes:
        for stream_id, floor_seq, held_seq in node.rows("SELECT stream_id, floor_seq, held_seq FROM syncd_stream"):
            rows = node.rows("SELECT seq, hash, envelope FROM syncd_log WHERE stream_id = ? ORDER BY seq", (stream_id,))
            assert [row[0] for row in rows] == list(range(floor_seq + 1, held_seq + 1)), (
                f"{node.name}: a gap in log {stream_id}: {[row[0] for row in rows]}, from {floor_seq} to {held_seq}"
            )
            for seq, position_hash, envelope in rows:
                name, first = known.setdefault((stream_id, seq), (node.name, bytes(position_hash) + bytes(envelope)))
                assert first == bytes(position_hash) + bytes(envelope), (
                    f"{node.name}: envelope {seq} of {stream_id} differs from {name}'s"
                )


def check_decided(nodes: Sequence[TreeNode], keepers: Mapping[str, TreeNode]) -> None:
    """Every proposal, wherever it was made, has exactly one verdict at the root and on the way there from whoever
    keeps the unit that the verdict belongs to; nobody has two. What a person says about a verdict is not another, nor
    is the word that it is decided in another unit. What was taken back need not be decided behind such a word."""
    proposals = {row[0] for node in nodes for row in node.rows("SELECT id FROM proposal ORDER BY made_at, id")}
    decided = {node.name: node.rows(
        f"SELECT proposal_id, unit_id FROM verdict AS v WHERE {DECISION} AND proposal_id IN (SELECT id FROM proposal)")
        for node in nodes}  # fmt: skip
    unit_of = dict(decided[nodes[0].name])
    proposals -= {row[0] for row in nodes[0].rows(_TAKEN_BACK)} - unit_of.keys()
    assert proposals == unit_of.keys(), f"never decided: {sorted(proposals - unit_of.keys())}"
    for node in nodes:
        counted = Counter(row[0] for row in decided[node.name])
        twice = [proposal for proposal, count in counted.items() if count > 1]
        assert not twice, f"{node.name}: proposals decided twice: {twice}"
        told = {row[0] for row in node.rows(f"SELECT proposal_id FROM verdict AS v WHERE {DECISION}")}  # the row moved:
        # the proposal is about a unit that may never have been heard of here, the verdict about one that is
        unknown = [p for p in sorted(proposals - told) if _is_below(keepers.get(unit_of[p]), node)]
        assert not unknown, f"{node.name}: verdicts not known: {unknown}"


def check_content(clerk: Clerk, nodes: Sequence[TreeNode], compare_closed: bool = True) -> None:
    """The unit's register equals the clerk's model at every tier above, in the columns that tier may read.

    Without `compare_closed`: a tier that once kept the unit may have the columns of keepers from that time.
    """
    root = nodes[0]
    at: TreeNode | None = clerk.at
    while at is not None:
        closed_here = at not in (root, clerk.at)
        for table in REGISTER.values():
            closed = _closed(table) if closed_here else set()
            hidden = closed if not compare_closed else set()
            names = [column.name for column in table.columns if column.name not in hidden]
            found = {
                row[0]: dict(zip(names, row[1:], strict=True))
                for row in at.rows(
                    f"SELECT id, {', '.join(names)} FROM {table.name} WHERE unit_id = ?", (clerk.unit_id,)
                )
            }
            wanted = {
                row_id: {name: None if name in closed else row[name] for name in names}
                for row_id, row in clerk.tables[table.name].items()
            }
            assert found == wanted, _difference(at.name, table.name, found, wanted)
        _check_oversight(clerk, at, root)
        at = at.parent


def _check_oversight(clerk: Clerk, at: TreeNode, root: TreeNode) -> None:
    """What is said about the unit, or about all, is the same here as at the root."""
    for table in root.store.registry.of_kind(Kind.OVERSIGHT):
        names = ", ".join(column.name for column in table.all_columns)
        query = f"SELECT {names} FROM {table.name} WHERE unit_id = ? OR unit_id IS NULL ORDER BY id"
        assert at.rows(query, (clerk.unit_id,)) == root.rows(query, (clerk.unit_id,)), (
            f"{at.name}: {table.name} differs"
        )


def _closed(table: Table) -> set[str]:
    return {column.name for column in table.columns if column.audience is Audience.CUSTODIAN}


def _difference(
    node: str, table: str, found: dict[str, dict[str, object]], wanted: dict[str, dict[str, object]]
) -> str:
    lost, extra = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    changed = [
        (row_id, name, found[row_id][name], wanted[row_id][name])
        for row_id in found.keys() & wanted.keys()
        for name in wanted[row_id]
        if found[row_id][name] != wanted[row_id][name]
    ]
    return f"{node}.{table}: lost {sorted(lost)}, surplus {sorted(extra)}, found and acknowledged {changed[:5]}"


def check_keepers(keepers: Keepers, nodes: Sequence[TreeNode]) -> None:
    """Every unit has one keeper, known on its way up; whatever was acknowledged beyond a term is a proposal."""
    root = nodes[0]
    keeping = Counter(unit_id for unit_id, _node, _term in keepers.live)
    for unit_id in keepers.writable:
        assert keeping[unit_id] == 1, f"unit {unit_id} has {keeping[unit_id]} keepers"
    wishes = [
        {
            "table": table,
            "row_id": row_id,
            "operation": operation,
            "wished": json.loads(wished),
            "is_late": reason.startswith(LATE),
        }
        for node in nodes
        for table, row_id, operation, wished, reason in node.rows(
            "SELECT p.table_name, coalesce(p.row_id, v.row_id), p.operation, p.wished, p.reason FROM proposal AS p"
            " LEFT JOIN verdict AS v ON v.proposal_id = p.id AND v.outcome = 'accepted' AND p.operation = 'insert'"
            " ORDER BY p.made_at, p.id"
        )
    ]
    kept_as = dict(root.rows(_KEPT_AS))  # a row may have been inserted under an id of whoever keeps the unit by then
    wishes = [{**wish, "row_id": kept_as.get(wish["row_id"], wish["row_id"])} for wish in wishes]
    now: Tables = {name: {} for name in REGISTER}
    for clerk in keepers.live.values():
        for name, rows in clerk.tables.items():
            now[name] |= rows
    late = list(keepers.late(root))
    for key, kept, acknowledged in late:
        others = [each for each in late if each[0][1] == key[1] and each[0] != key]  # what it moved between its units
        lost = list(
            unnamed(kept, acknowledged, now, wishes, [each[1] for each in others], [each[2] for each in others])
        )
        assert not lost, f"term {key[2]} of {key[0]} at {key[1]}: {lost[:5]}"


def check_receipts(node: TreeNode, root: TreeNode) -> None:
    """The custodian has applied what it is known to have signed, at every moment; a baseline behind a newer one it may
    have forgotten."""
    applied = dict(root.rows("SELECT stream_id, applied_seq FROM syncd_stream"))
    ended = {row[0] for row in root.rows("SELECT stream_id FROM syncd_stream WHERE ended = 1")}  # by force: taken back
    for stream_id, seq in node.rows("SELECT stream_id, custodian_seq FROM syncd_stream WHERE custodian_seq > 0"
                                     " AND kind <> 4"):  # fmt: skip
        assert stream_id in ended or seq <= applied.get(stream_id, 0), (
            f"{node.name}: the custodian signed {seq} of {stream_id} and shows {applied.get(stream_id, 0)}"
        )


def check_floors(node: TreeNode) -> None:
    """What a log has forgotten, a whole baseline here stands for; of a term that ended its end is kept."""
    bare = node.rows(
        "SELECT stream_id, floor_seq FROM syncd_stream AS s WHERE kind = 1 AND floor_seq > 0 AND NOT EXISTS"
        " (SELECT 1 FROM syncd_baseline AS b WHERE b.of_id = s.stream_id AND b.is_whole = 1"
        " AND b.at_seq >= s.floor_seq) AND NOT (ended = 1 AND floor_seq < held_seq)"
    )
    assert not bare, f"{node.name}: forgotten, and no baseline stands for it: {bare}"


def check_waits(node: TreeNode) -> int:
    """What only a newer release can read waits for it, and needs nobody; returns how many streams do."""
    states = node.rows("SELECT state, kind, unit_id FROM syncd_stream WHERE reason LIKE '%schema revision%'")
    stopped = [row for row in states if row[0] != "waiting"]
    assert not stopped, f"{node.name}: stopped for a newer release: {stopped}"
    return len(states)


def check_backed_up(cuts: Sequence[Cut], node: TreeNode, safe: Mapping[str, int]) -> None:
    """What has gone of a register's log, the custodian has signed as backed up (no retention is set here)."""
    for cut in cuts:
        assert cut.kind != Kind.REGISTER or cut.to_seq <= safe.get(cut.stream_id, 0), (
            f"{node.name}: forgot {cut.stream_id} up to {cut.to_seq}, backed up is {safe.get(cut.stream_id, 0)}"
        )
