"""What an operator asks first, read from one snapshot: what waits and where, who is late, what stands still, what
differs.

Enters: a read transaction. Leaves: `Status`, plain data with counts, names of units and nodes, and times. Must hold:
queries only, no personal value, no guess: what the tables do not say is None and shown as not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from conflict.case import CaseKind
from schema.replicated import KEY_GRANT, NODE
from schema.spec import Kind
from schema.tables import SCHEMA_REVISION
from syncd import limits, log
from syncd.clock import instant_of
from syncd.identity.looked import looked_at
from syncd.identity.looked import waiting as waiting_for_matching
from syncd.limits import HEADER_BYTES_MAX
from syncd.log import Stream
from syncd.node.bounds import Bounds
from syncd.node.machine import Machine
from syncd.receipt import HEARD_KEY
from syncd.review.standing import UNDECIDED, Waiting, open_reviews, unmatched_moves, unsettled_cases, waiting
from syncd.store.base import Tx, known
from syncd.succession import Succession, named_apart, retired_nodes, succession
from syncd.tree import Tree, load_tree

# Grants and enrolments are no records: a clerk does not wait for them.
_CONTROL_TABLES = (NODE.number, KEY_GRANT.number)
EXCHANGED_BY = "exchanged_by"  # in syncd_meta: `once`, or `daemon` as where nothing is said
ROW_MARKS = (0, 1)  # envelopes that carry rows: CLOSED and OPEN of `envelope.py`, which a screen need not load


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnChanges:
    """Changed rows written here. Those at the custodian are None when the log is too long to add up for a screen."""

    unsealed: int  # committed, not yet in the log
    waiting: int  # not yet at the parent, the unsealed ones included
    at_parent: int  # at the parent, not yet at the custodian
    at_custodian: int | None
    backed_up: int | None  # of those, in the custodian's last verified backup
    confirmed_at: str | None  # when the newest envelope that the custodian has confirmed was written
    oldest_waiting_at: str | None = None  # when the oldest that it has not was written


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """The parent or a child, as last recorded here. Times are of successes unless named otherwise."""

    node_id: str
    role: str
    name: str
    unit: str | None
    address: str | None
    last_success_at: str | None
    last_attempt_at: str | None
    last_error: str | None
    clock_offset_ms: int | None
    waiting_rows: int | None
    open_cases: int | None
    retired: str | None = None  # another machine took its place: `replaced`, or `revoked` where it is not believed
    # By the running daemon's steady clock, where it has one to tell: since the last success; of failures in a row.
    success_age_s: float | None = None
    failing_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """A node further below that whoever stands above it has not heard for long; `via`: the child that says so."""

    node_id: str
    name: str
    via: str
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedStream:
    """A stream that does not move. `state`: waiting (its cause may go by itself), refused or stopped (a person
    looks).
    """

    stream_id: str
    kind: str
    about: str
    state: str
    reason: str
    waiting_envelopes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnprovenStream:
    """A stream whose rows changed here after the last checkpoint compared. `changed_at`: when its newest rows were
    written.
    """

    stream_id: str
    about: str
    changed_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """A unit that is passing on. `waits_for`: `old` keeper, who has not ended yet, or `new`, who has not begun."""

    unit: str
    from_name: str
    to_name: str
    waits_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Results of the newest checkpoints compared here, per stream and table."""

    equal: int
    different: int
    last_at: str | None
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One node at one moment."""

    node_id: str
    name: str
    unit_code: str
    unit_name: str
    depth: int
    is_root: bool
    dialect: str
    schema_revision: int
    database_revision: str | None
    own: OwnChanges
    parent: Neighbour | None
    children: tuple[Neighbour, ...]
    unapplied_envelopes: int
    stopped: tuple[StoppedStream, ...]
    unproven: tuple[UnprovenStream, ...]
    reviews: int
    cases: int
    undecided: int
    unmatched_moves: int
    disagreements: tuple[Waiting, ...]  # the same by kind, those that this node decides, and since when
    checks: Checks
    kept_units: int  # whose registers are written here
    kept_codes: tuple[str, ...]  # the first of them
    last_backup_at: str | None
    rejoining: int  # own streams of which neighbours hold more: being taken back, nothing is sealed meanwhile
    root_branches: int  # streams of the root of which another branch exists: a person at the root must choose
    wishes: int  # rows typed on a restored copy or a second machine that are not proposals yet
    hand_overs: tuple[HandOver, ...]  # orders under way that this node is told the end of
    late_writes: int  # envelopes written after a term that somebody has to admit here
    succession: Succession | None = None
    trouble: str | None = None  # why the last daemon ended by itself, or that it works on files taken from their place
    rescued: str | None = None  # where a daemon has written down its database, which was taken away
    linked: str | None = None  # a file of the database that has a second name: whatever opens it by that one ruins it
    has_persons: bool = False  # somebody is in a register here
    matched_at: str | None = None  # when everybody was last looked at for rows that are one person
    persons_due: int = 0  # who changed since they were matched
    is_older_copy: bool = False  # the file beside the database knows of more than the database
    is_mark_unreadable: bool = False  # that file says nothing any more: nobody here knows
    created_at: str | None = None  # when this node was made, where somebody has looked
    exchanged_by: str = "daemon"  # or `once`: the last exchange was a `sync --once`
    newest_at: str | None = None  # the newest moment that this machine's own clock has written down
    province_backup_at: str | None = None  # by the custodian's clock, as far as it is known here
    silent: tuple[Silent, ...] = ()
    is_silent: bool = False  # a daemon runs and does not answer
    bounds: Bounds = field(default_factory=Bounds)
    machine: Machine = field(default_factory=Machine)


def status(tx: Tx) -> Status:
    """Everything the screen shows, from one snapshot."""
    facts: dict[str, str] = dict(tx.all("SELECT key, value FROM syncd_meta"))
    is_root = facts.get("root_id") == facts.get("node_id")
    neighbours = _neighbours(tx)
    return Status(
        node_id=facts["node_id"],
        name=facts.get("name", ""),
        unit_code=facts.get("unit_code", ""),
        unit_name=facts.get("unit_name", ""),
        depth=int(facts.get("depth", "0")),
        is_root=is_root,
        dialect=tx.dialect,
        schema_revision=SCHEMA_REVISION,
        database_revision=database_revision(tx),
        own=_own(tx, is_root),
        parent=next((peer for peer in neighbours if peer.role == "parent"), None),
        children=tuple(peer for peer in neighbours if peer.role == "child"),
        unapplied_envelopes=int(
            tx.value("SELECT coalesce(sum(held_seq - applied_seq), 0) FROM syncd_stream WHERE own = 0")
        ),
        stopped=_stopped(tx),
        unproven=_unproven(tx),
        reviews=open_reviews(tx),
        cases=unsettled_cases(tx),
        undecided=_undecided(tx),
        unmatched_moves=unmatched_moves(tx),
        disagreements=tuple(waiting(tx)),
        checks=_checks(tx),
        kept_units=int(tx.value("SELECT count(*) FROM syncd_keeper WHERE mine = 1")),
        kept_codes=tuple(row[0] or "?" for row in tx.all(_KEPT, (limits.STATUS_UNITS_MAX,))),
        last_backup_at=facts.get("last_backup_at"),
        rejoining=int(tx.value("SELECT count(*) FROM syncd_stream WHERE rejoin_seq > 0")),
        root_branches=int(tx.value(_ROOT_BRANCHES, (CaseKind.FORK.value, facts.get("root_id", facts["node_id"])))),
        wishes=int(tx.value("SELECT count(*) FROM syncd_wish")),
        hand_overs=_hand_overs(tx),
        late_writes=int(tx.value(_LATE, (CaseKind.WRITES_BEYOND_TERM.value,))),
        succession=None if is_root else succession(tx, facts),
        exchanged_by=facts.get(EXCHANGED_BY, "daemon"),
        newest_at=_newest(tx, facts),
        province_backup_at=facts.get("last_backup_at") if is_root else _heard_backup_at(facts),
        has_persons="person" in known().by_name and tx.one("SELECT 1 FROM person LIMIT 1") is not None,
        matched_at=looked_at(tx),
        persons_due=waiting_for_matching(tx),
    )


_NEWEST = """
    SELECT max(at) FROM (
        SELECT max(changed_at) AS at FROM syncd_stream WHERE own = 1
        UNION ALL SELECT max(last_success_at) FROM syncd_peer UNION ALL SELECT max(checked_at) FROM syncd_checkpoint
    ) AS written
"""


def _newest(tx: Tx, facts: Mapping[str, str]) -> str | None:
    known = (facts.get("created_at"), facts.get("last_backup_at"), tx.value(_NEWEST))
    return max((str(each) for each in known if each), default=None)


def _heard_backup_at(facts: Mapping[str, str]) -> str | None:
    heard_ms = int(facts.get(HEARD_KEY) or 0)
    return instant_of(heard_ms) if heard_ms else None


_ROOT_BRANCHES = """
    SELECT count(DISTINCT c.stream_id) FROM syncd_case AS c JOIN syncd_stream AS s ON s.stream_id = c.stream_id
    WHERE c.kind = ? AND c.closed_at IS NULL AND CAST(s.keeper AS text) = ?
"""
_KEPT = """
    SELECT u.code FROM syncd_keeper AS k LEFT JOIN unit AS u ON u.id = k.unit_id
    WHERE k.mine = 1 ORDER BY u.code, k.unit_id LIMIT ?
"""


def waiting_rows(tx: Tx) -> int:
    """Changed rows of this node that the custodian has not confirmed."""
    own = _own(tx, False)
    return own.waiting + own.at_parent


def _own(tx: Tx, is_root: bool) -> OwnChanges:
    marks = ", ".join("?" * len(_CONTROL_TABLES))
    unsealed = int(tx.value(f"SELECT count(*) FROM syncd_journal WHERE tab NOT IN ({marks})", _CONTROL_TABLES))
    if is_root:  # what the custodian has written is at the custodian
        return OwnChanges(
            unsealed=unsealed,
            waiting=unsealed,
            at_parent=0,
            at_custodian=_rows_confirmed(tx, "s.held_seq"),
            backed_up=_rows_confirmed(tx, "s.backed_up_seq"),
            confirmed_at=None,
        )
    waiting = _rows_after(tx, "s.parent_seq")
    beyond = _rows_after(tx, "s.custodian_seq")
    return OwnChanges(
        unsealed=unsealed,
        waiting=unsealed + min(waiting, beyond),
        at_parent=max(0, beyond - waiting),
        at_custodian=_rows_confirmed(tx, "s.custodian_seq"),
        backed_up=_rows_confirmed(tx, "s.backed_up_seq"),
        confirmed_at=_confirmed_at(tx),
        oldest_waiting_at=_oldest_waiting_at(tx) if beyond else None,
    )


_OLDEST = f"""
    SELECT substr(l.envelope, 1, ?) FROM syncd_stream AS s JOIN syncd_log AS l ON l.stream_id = s.stream_id
    WHERE s.own = 1 AND s.kind <> {int(Kind.CONTROL)} AND l.seq = (
        SELECT min(x.seq) FROM syncd_log AS x
        WHERE x.stream_id = s.stream_id AND x.seq > s.custodian_seq AND x.rows > 0)
    LIMIT ?
"""


def _oldest_waiting_at(tx: Tx) -> str | None:
    """When the oldest rows that the custodian has not confirmed were written: their envelopes' headers say so."""
    from syncd.envelope import written_ms

    heads = tx.all(_OLDEST, (HEADER_BYTES_MAX + 4, limits.STATUS_STREAMS_MAX))
    return instant_of(min(written_ms(bytes(row[0])) for row in heads)) if heads else None


def _rows_after(tx: Tx, position: str) -> int:
    return int(
        tx.value(
            f"SELECT coalesce(sum(l.rows), 0) FROM syncd_stream AS s JOIN syncd_log AS l"
            f" ON l.stream_id = s.stream_id AND l.seq > {position} WHERE s.own = 1 AND s.kind <> {int(Kind.CONTROL)}"
        )
    )


def _rows_confirmed(tx: Tx, position: str) -> int | None:
    """None beyond a length whose reading would make the screen slow."""
    own = f"s.own = 1 AND s.kind <> {int(Kind.CONTROL)}"
    envelopes, pruned = tx.one(
        f"SELECT coalesce(sum({position} - s.floor_seq), 0), coalesce(sum(s.floor_rows), 0) FROM syncd_stream AS s"
        f" WHERE {own} AND {position} >= s.floor_seq"
    ) or (0, 0)
    if envelopes > limits.STATUS_ENVELOPES_MAX:
        return None
    return int(pruned) + int(
        tx.value(
            f"SELECT coalesce(sum(l.rows), 0) FROM syncd_stream AS s JOIN syncd_log AS l"
            f" ON l.stream_id = s.stream_id AND l.seq <= {position} WHERE {own}"
        )
    )


def _confirmed_at(tx: Tx) -> str | None:
    """When own streams that are wholly confirmed last changed."""
    found = tx.value(
        "SELECT max(changed_at) FROM syncd_stream WHERE own = 1 AND custodian_seq >= held_seq AND held_seq > 0"
    )
    return None if found is None else str(found)


_NEIGHBOURS = """
    SELECT p.node_id, p.role, p.name, u.code, u.name, p.address, p.last_success_at, p.last_attempt_at, p.last_error,
           p.clock_offset_ms, p.waiting, p.cases
    FROM syncd_peer AS p
    LEFT JOIN (SELECT node_id, max(home_unit_id) AS unit_id FROM (
                   SELECT node_id, CAST(home_unit_id AS text) AS home_unit_id FROM node) AS n GROUP BY node_id) AS h
        ON h.node_id = p.node_id
    LEFT JOIN unit AS u ON CAST(u.id AS text) = h.unit_id
    ORDER BY p.role DESC, u.code, p.name
"""


def _neighbours(tx: Tx) -> list[Neighbour]:
    retired = retired_nodes(tx)
    return [
        Neighbour(
            node_id=row[0],
            role=row[1],
            name=row[2],
            unit=unit_words(row[3], row[4]),
            address=row[5],
            last_success_at=row[6],
            last_attempt_at=row[7],
            last_error=row[8],
            clock_offset_ms=row[9],
            waiting_rows=row[10],
            open_cases=row[11],
            retired=retired.get(row[0]),
        )
        for row in tx.all(_NEIGHBOURS)
    ]


# What a stream `s` speaks of: its unit `u`, and the node `n` that writes it (by a name its records have given it).
STREAM_ABOUT = """
    LEFT JOIN unit AS u ON u.id = s.unit_id
    LEFT JOIN (SELECT node_id, max(name) AS name FROM node GROUP BY node_id) AS n ON n.node_id = s.keeper
"""
_STOPPED = f"""
    SELECT s.stream_id, s.kind, u.code, u.name, n.name, s.state, s.reason, s.held_seq - s.applied_seq
    FROM syncd_stream AS s {STREAM_ABOUT}
    WHERE s.state <> 'ok' ORDER BY s.state, u.code, s.stream_id LIMIT ?
"""
_DIFFERENCES = f"""
    SELECT c.tab, u.code, u.name, n.name
    FROM syncd_checkpoint AS c JOIN syncd_stream AS s ON s.stream_id = c.stream_id {STREAM_ABOUT}
    WHERE c.ok = 0 ORDER BY u.code, c.tab LIMIT ?
"""


# The log is asked only about streams that have gone on since their checkpoint, and only for the first row after it. The
# stream of a baseline states none: what was made of it is compared by the checkpoints of the stream it stands for.
_UNPROVEN = f"""
    SELECT s.stream_id, u.code, u.name, n.name, s.changed_at
    FROM syncd_stream AS s {STREAM_ABOUT}
    LEFT JOIN (SELECT stream_id, max(seq) AS seq FROM syncd_checkpoint GROUP BY stream_id) AS c
        ON c.stream_id = s.stream_id
    WHERE s.own = 0 AND s.kind <> {int(Kind.BASELINE)} AND s.applied_seq > coalesce(c.seq + 1, 0) AND EXISTS (
        SELECT 1 FROM syncd_log AS l WHERE l.stream_id = s.stream_id AND l.seq > coalesce(c.seq, 0)
            AND l.seq <= s.applied_seq AND l.mark IN (?, ?))
    ORDER BY s.changed_at, s.stream_id
"""


def _unproven(tx: Tx) -> tuple[UnprovenStream, ...]:
    rows = tx.all(_UNPROVEN, ROW_MARKS)
    if not rows:
        return ()
    tree = load_tree(tx)
    past = {at.stream_id for at in log.streams(tx) if is_past(tree, at)}
    return tuple(
        UnprovenStream(stream_id=row[0], about=stream_words(row[1], row[2], row[3]), changed_at=row[4])
        for row in rows if row[0] not in past
    )[: limits.STATUS_STREAMS_MAX]  # fmt: skip


def is_past(tree: Tree, at: Stream) -> bool:
    """Whether nothing more of a stream is owed to this node, since its unit passed on: it does not come here any more;
    or it ended, be it this node's own, and what follows it does not come here."""
    keeper = None if at.unit_id is None else tree.keepers.get(at.unit_id)
    if at.unit_id is not None and keeper is None:
        return False  # who keeps it is not known yet
    if at.ended and keeper is not None:
        return not tree.is_within(keeper[0], tree.me)
    return not at.own and not tree.is_for_me(at)


def _stopped(tx: Tx) -> tuple[StoppedStream, ...]:
    return tuple(
        StoppedStream(
            stream_id=row[0],
            kind=Kind(row[1]).name.lower(),
            about=stream_words(row[2], row[3], row[4]),
            state=row[5],
            reason=row[6] or "",
            waiting_envelopes=max(0, int(row[7])),
        )
        for row in tx.all(_STOPPED, (limits.STATUS_STREAMS_MAX,))
    )


def unit_words(code: str | None, name: str | None) -> str | None:
    """A unit by its code and its name; None when it is not known here."""
    return f"{code} {name}" if name else None


def table_names() -> dict[int, str]:
    """Table number → name."""
    return {table.number: table.name for table in known()}


def stream_words(unit_code: str | None, unit_name: str | None, keeper_name: str | None) -> str:
    """A stream by the unit it speaks of, else by the node that writes it."""
    return unit_words(unit_code, unit_name) or keeper_name or ""


_LATE = """
    SELECT count(*) FROM syncd_quarantine AS q WHERE q.adopted_at IS NULL
        AND q.stream_id IN (SELECT stream_id FROM syncd_case WHERE kind = ? AND closed_at IS NULL)
"""
# A new keeper's stream comes to the tiers above it alone: elsewhere nobody hears that it has begun.
_HAND_OVERS = """
    WITH RECURSIVE below (id) AS (
        SELECT value FROM syncd_meta WHERE key = 'node_id'
        UNION SELECT CAST(n.node_id AS text) FROM node AS n JOIN below AS b ON CAST(n.parent_id AS text) = b.id),
    names (id, name) AS (SELECT CAST(node_id AS text), max(name) FROM node GROUP BY node_id)
    SELECT u.code, u.name, f.name, g.name, CASE WHEN t.ended_seq IS NULL THEN 'old' ELSE 'new' END,
        CAST(t.node_id AS text), CAST(s.node_id AS text)
    FROM syncd_term AS t JOIN syncd_term AS s ON s.unit_id = t.unit_id
        AND s.term = (SELECT min(term) FROM syncd_term WHERE unit_id = t.unit_id AND term > t.term)
    LEFT JOIN unit AS u ON u.id = t.unit_id
    LEFT JOIN names AS f ON f.id = CAST(t.node_id AS text) LEFT JOIN names AS g ON g.id = CAST(s.node_id AS text)
    WHERE t.next_node_id IS NOT NULL AND s.ended_seq IS NULL AND (
        t.ended_seq IS NULL AND CAST(t.node_id AS text) IN (SELECT id FROM below)
        OR CAST(s.node_id AS text) IN (SELECT id FROM below) AND NOT EXISTS (
            SELECT 1 FROM syncd_stream AS x WHERE x.kind = ? AND x.unit_id = s.unit_id AND x.keeper = s.node_id
                AND x.term = s.term AND x.held_seq > 0))
    ORDER BY u.code LIMIT ?
"""


def _hand_overs(tx: Tx) -> tuple[HandOver, ...]:
    rows = tx.all(_HAND_OVERS, (int(Kind.REGISTER), limits.STATUS_STREAMS_MAX))
    return tuple(
        HandOver(
            unit=unit_words(row[0], row[1]) or "", from_name=named_apart(row[2], row[5], row[3]),
            to_name=named_apart(row[3], row[6], row[2]), waits_for=row[4],
        )
        for row in rows
    )  # fmt: skip


def _undecided(tx: Tx) -> int:
    return int(tx.value(f"SELECT count(*) FROM proposal AS p WHERE p.withdrawn_at IS NULL AND {UNDECIDED}"))


def _checks(tx: Tx) -> Checks:
    counts = tx.one("SELECT count(*), coalesce(sum(ok), 0), max(checked_at) FROM syncd_checkpoint") or (0, 0, None)
    rows = tx.all(_DIFFERENCES, (limits.STATUS_STREAMS_MAX,))
    names = table_names()
    return Checks(
        equal=int(counts[1]),
        different=int(counts[0]) - int(counts[1]),
        last_at=counts[2],
        differences=tuple(f"{stream_words(row[1], row[2], row[3])}: {names.get(row[0], str(row[0]))}" for row in rows),
    )


def database_revision(tx: Tx) -> str | None:
    """Alembic's revision, where the tables were made by it."""
    if tx.dialect == "sqlite":
        present = tx.value("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
    else:
        present = tx.value("SELECT to_regclass('alembic_version')::text")
    if present is None:
        return None
    found = tx.value("SELECT max(version_num) FROM alembic_version")
    return None if found is None else str(found)
