"""What must hold when a tree has come to rest, by plain SQL.

Enters: the nodes of a tree, the clerks' models. Leaves: nothing, or an AssertionError that names node and table.
"""

from __future__ import annotations

from collections.abc import Sequence

from schema.spec import Audience, Kind, Table
from tests.sim.clerk import REGISTER, Clerk
from tests.trees import TreeNode

ALARMS = ("fork", "checkpoint_mismatch", "writes_beyond_term")  # what must never be left open


def check_state(node: TreeNode) -> None:
    """Nothing waits, nothing stopped, every own position is at the custodian, every checkpoint was equal."""
    name = node.name
    assert node.value("SELECT count(*) FROM syncd_journal") == 0, f"{name}: journal rows are left"
    behind = node.rows(
        "SELECT kind, unit_id, keeper, held_seq, applied_seq, state, reason, open_from FROM syncd_stream"
        " WHERE applied_seq <> held_seq OR state <> 'ok' OR open_from <> 0"
    )
    assert not behind, f"{name}: streams stand still: {behind}"
    unsettled = node.rows("SELECT kind, held_seq, rejoin_seq FROM syncd_stream WHERE rejoin_seq > 0")
    assert not unsettled, f"{name}: streams not taken back: {unsettled}"
    # Held: for the custodian's eyes, and its row is not decided. Kept: overruled meanwhile, and a case names the row.
    wishes = node.rows(
        "SELECT op, tab, row_id FROM syncd_wish WHERE op <> 'held' AND (op <> 'kept' OR row_id NOT IN"
        " (SELECT row_id FROM syncd_case WHERE kind = 'fork' AND row_id IS NOT NULL AND closed_at IS NULL))"
    )
    assert not wishes, f"{name}: wishes not written down: {wishes}"
    unheard = node.rows(
        "SELECT stream_id, held_seq, custodian_seq FROM syncd_stream WHERE own = 1 AND custodian_seq <> held_seq"
    )
    assert not unheard, f"{name}: not at the custodian: {unheard}"
    unequal = node.rows("SELECT stream_id, tab, audience, rows_stated, rows_found FROM syncd_checkpoint WHERE ok <> 1")
    assert not unequal, f"{name}: checkpoints differ: {unequal}"
    unchecked = node.rows(
        "SELECT stream_id FROM syncd_stream AS s WHERE own = 0 AND NOT EXISTS"
        " (SELECT 1 FROM syncd_checkpoint AS c WHERE c.stream_id = s.stream_id AND c.ok = 1)"
    )
    assert not unchecked, f"{name}: streams without a checkpoint: {unchecked}"
    # Clerks who type at random make duplicates and the like: those cases are right, whatever they are.
    marks = ", ".join("?" * len(ALARMS))
    alarms = node.rows(
        f"SELECT kind, detail FROM syncd_case WHERE closed_at IS NULL AND row_id IS NULL AND kind IN ({marks})",
        ALARMS,
    )
    assert alarms == [], f"{name}: open cases"


def check_logs(nodes: Sequence[TreeNode]) -> None:
    """Wherever a stream is kept, its log is the keeper's, byte for byte."""
    logs: dict[str, list[tuple[object, ...]]] = {}
    for node in nodes:
        for (stream_id,) in node.rows("SELECT stream_id FROM syncd_stream WHERE own = 1"):
            logs[stream_id] = node.rows(
                "SELECT seq, hash, envelope FROM syncd_log WHERE stream_id = ? ORDER BY seq", (stream_id,)
            )
            assert [row[0] for row in logs[stream_id]] == list(range(1, len(logs[stream_id]) + 1)), (
                f"{node.name}: a gap in a log"
            )
    for node in nodes:
        for (stream_id,) in node.rows("SELECT stream_id FROM syncd_stream WHERE own = 0"):
            found = node.rows(
                "SELECT seq, hash, envelope FROM syncd_log WHERE stream_id = ? ORDER BY seq", (stream_id,)
            )
            assert found == logs[stream_id], f"{node.name}: log of {stream_id} differs from its keeper's"


def check_decided(nodes: Sequence[TreeNode]) -> None:
    """Every proposal, wherever it was made, has exactly one verdict, and everybody on the way knows it."""
    for node in nodes:
        wrong = node.rows(
            "SELECT p.id, count(v.id) FROM proposal AS p LEFT JOIN verdict AS v ON v.proposal_id = p.id"
            " GROUP BY p.id HAVING count(v.id) <> 1"
        )
        assert not wrong, f"{node.name}: proposals decided not exactly once: {wrong}"


def check_content(clerk: Clerk, nodes: Sequence[TreeNode]) -> None:
    """The unit's register equals the clerk's model at every tier above, in the columns that tier may read."""
    root = nodes[0]
    at: TreeNode | None = clerk.at
    while at is not None:
        for table in REGISTER.values():
            names = [column.name for column in table.columns]
            found = {
                row[0]: dict(zip(names, row[1:], strict=True))
                for row in at.rows(
                    f"SELECT id, {', '.join(names)} FROM {table.name} WHERE unit_id = ?", (clerk.at.unit_id,)
                )
            }
            closed = set() if at in (root, clerk.at) else _closed(table)
            wanted = {row_id: {**row, **dict.fromkeys(closed)} for row_id, row in clerk.tables[table.name].items()}
            assert found == wanted, _difference(at.name, table.name, found, wanted)
        _check_oversight(clerk, at, root)
        at = at.parent


def _check_oversight(clerk: Clerk, at: TreeNode, root: TreeNode) -> None:
    """What is said about the unit, or about all, is the same here as at the root."""
    for table in root.store.registry.of_kind(Kind.OVERSIGHT):
        names = ", ".join(column.name for column in table.all_columns)
        query = f"SELECT {names} FROM {table.name} WHERE unit_id = ? OR unit_id IS NULL ORDER BY id"
        assert at.rows(query, (clerk.at.unit_id,)) == root.rows(query, (clerk.at.unit_id,)), (
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
