"""Detecting, composed: look at what changed, open what is found, close what is gone, match moves (design §5).

Enters: a node's store and keys, the tree, a clock. Leaves: cases of this node, rows of `move_match`. Must hold: one
turn costs by the rows changed, never by the rows there are, and holds no lock while it reads; nothing is written when
nothing was found; a case is opened only by the lowest node that sees all its sides, closes by itself when its cause is
gone, and opens again when it is back.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from conflict.case import CaseKind
from schema.names import quoted
from schema.spec import Registry
from syncd import limits
from syncd.cases import close_case, open_case
from syncd.clock import Clock, beginning_of, day_of_instant, instant_of, time_ms_of
from syncd.detect import changed as reading
from syncd.detect import moves
from syncd.detect.apart import DUTY, by_halves
from syncd.detect.changed import Changed, Looked
from syncd.detect.codes import Lists, Seen, have_moved, seen_anew, spoken_against, unknown_codes
from syncd.detect.dates import impossible_days
from syncd.detect.events import broken_rules, twin_events
from syncd.detect.finding import Finding
from syncd.detect.people import households_beside, missing, same_numbers
from syncd.detect.place import Places
from syncd.detect.records import Records, chosen, gather, marked
from syncd.keys import KeyRing
from syncd.node.barriers import PASSING, Barriers, tell
from syncd.review.standing import withdraw_questions
from syncd.signals import APPLIED, LOG
from syncd.store.base import Store, Tx
from syncd.store.pulse import Baton
from syncd.tree import Tree

RandomBytes = Callable[[int], bytes]

# The kinds this package finds and therefore closes; the others have their own cause and their own end.
KINDS = frozenset({
    CaseKind.DUPLICATE_CITIZEN_ID, CaseKind.DUPLICATE_INSURANCE_NO, CaseKind.DUPLICATE_HOUSEHOLD_NO,
    CaseKind.TWIN_EVENT, CaseKind.DEPARTURE_WITHOUT_ARRIVAL, CaseKind.ARRIVAL_WITHOUT_DEPARTURE,
    CaseKind.UNRESOLVED_REFERENCE, CaseKind.RULE_VIOLATED, CaseKind.DUTY_STOPPED,
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a turn's rows are judged by: one snapshot, and what was read of it."""

    tx: Tx
    registry: Registry
    places: Places
    changed: Changed
    records: Records
    moved: moves.Moved
    lists: Lists
    today: str


# Each finds its own kinds, and closes those alone: where it fails, nobody says that they are gone.
RULES: Mapping[str, tuple[frozenset[CaseKind], Callable[[Look], Iterable[Finding]]]] = {
    "same numbers": (
        frozenset({CaseKind.DUPLICATE_CITIZEN_ID, CaseKind.DUPLICATE_INSURANCE_NO, CaseKind.DUPLICATE_HOUSEHOLD_NO}),
        lambda at: same_numbers(at.tx, at.changed, at.records.core),
    ),
    "missing rows": (frozenset({CaseKind.UNRESOLVED_REFERENCE}), lambda at: missing(at.records, at.places)),
    "twin events": (frozenset({CaseKind.TWIN_EVENT}), lambda at: twin_events(at.records)),
    "rules across rows": (
        frozenset({CaseKind.RULE_VIOLATED}),
        lambda at: (
            *broken_rules(at.records),
            *impossible_days(at.tx, at.changed, at.records, at.today),
            *unknown_codes(at.tx, at.registry, at.changed, at.lists),
        ),
    ),
    "moves": (
        frozenset({CaseKind.DEPARTURE_WITHOUT_ARRIVAL, CaseKind.ARRIVAL_WITHOUT_DEPARTURE}),
        lambda at: at.moved.alone,
    ),
}
ITSELF = "syncd"  # who matched what no person has looked at
DAY_MS = 24 * 3600 * 1000
_OPEN = """
    SELECT c.case_id, c.kind, c.detail FROM syncd_case_row AS r JOIN syncd_case AS c ON c.case_id = r.case_id
    WHERE c.closed_at IS NULL AND c.kind IN ({kinds}) AND"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one turn did. `more`: there is more to look at already. `wrote`: rows were written that flow to others."""

    rows: int = 0
    opened: int = 0
    closed: int = 0
    matched: int = 0
    more: bool = False

    @property
    def wrote(self) -> bool:
        return self.matched > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What one turn found. `agenda`: (table, row) → when to look again. `looked`: rows taken off the agenda."""

    opened: list[Finding]
    closed: list[str]
    standing: frozenset[str]
    moved: moves.Moved
    agenda: Mapping[tuple[int, str], str]
    looked: list[str]

    @property
    def is_nothing(self) -> bool:
        found = self.opened or self.closed or self.agenda or self.looked
        return not (found or self.moved.matches or self.moved.taken_back)


class Detector:
    """Looks for disagreements at one node. One turn at a time, whoever asks."""

    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        clock: Clock,
        random_bytes: RandomBytes,
        barriers: Barriers,
        is_held_back: Callable[[Tx], bool],
        identify: Callable[[set[str]], int] = lambda _persons: 0,
    ) -> None:
        """`is_held_back`: whether nothing may be written now, so that nothing is looked at either.
        `identify`: told of the persons who changed, before they are judged; returns how many links it wrote."""
        self._store = store
        self._clock = clock
        self._random = random_bytes
        self._identify = identify
        self._barriers = barriers
        self._is_held_back = is_held_back
        self._reader = reading.Reader(store.registry, ring, barriers)
        self._unread: set[str] = set()  # streams that could not be read: in the news until they can
        self._unmatched: set[str] = set()  # persons that matching has failed on, some of them or all
        self._positions: dict[str, Looked] = {}  # newer than those written down
        self._unsaved_rows = 0
        self._swept_on = ""
        self._codes = Seen()
        self._tree: Tree | None = None
        self._turn, self._guard = Baton(), threading.Lock()
        self._news: set[str] | None = None  # streams that may have moved; None: nobody has told yet

    def on_signal(self, topic: str, stream_ids: frozenset[str]) -> None:
        """Streams that were written or applied have news."""
        if topic in (LOG, APPLIED):
            with self._guard:
                if self._news is not None:
                    self._news |= stream_ids

    def run(self, tree: Tree) -> Counts:
        """Look at a turn's worth of changed rows."""
        with self._turn:
            with self._guard:
                news = None if tree is not self._tree else self._news
                self._news = set()
            codes = self._codes
            try:
                counts = self._run(Places(tree), news)
            except BaseException:
                self._forget(news)
                self._codes = codes
                raise
            self._tree = tree
            if counts is None or counts.more:
                self._forget(news)
            return counts or Counts()

    def next_look_s(self) -> float | None:
        """Seconds until something on the agenda is due, at most `DETECT_LOOK_S_MAX`; None: nothing is on it."""
        with self._store.read() as tx:
            due_at = tx.value("SELECT min(due_at) FROM syncd_agenda")
        if due_at is None:
            return None
        return min(max((time_ms_of(due_at) - self._clock()) / 1000, 0.0), limits.DETECT_LOOK_S_MAX)

    def _forget(self, news: set[str] | None) -> None:
        """What these streams hold is to be looked at again."""
        with self._guard:
            self._news = None if news is None or self._news is None else self._news | news
        if news is None:
            self._tree = None

    def _run(self, places: Places, news: set[str] | None) -> Counts | None:
        now = instant_of(self._clock())
        with self._store.read() as tx:
            if self._is_held_back(tx):
                return None
            only = None if news is None else news | self._unread
            changed = self._reader.read(tx, places, self._positions, only, now)
            self._sweep(tx, changed, now)
            self._look_at_lists(tx, changed, only)
        self._unread = changed.unread
        if not changed.count and not changed.positions:
            return Counts()
        linked = self._match_persons(set(changed.rows.get("person", ())))
        result = self._judged(places, changed, now) if changed.count or changed.units else None
        self._positions |= changed.positions
        self._unsaved_rows += changed.count
        counts = Counts(rows=changed.count, matched=linked, more=changed.more)
        if (result is None or result.is_nothing) and self._unsaved_rows < limits.DETECT_UNSAVED_ROWS:
            return counts
        with self._store.write("detect") as tx:
            tx.lock("syncd detect")
            if result is not None:
                self._write(tx, result, now)
            reading.save(tx, self._positions.values())
        self._positions.clear()
        self._unsaved_rows = 0
        if result is None:
            return counts
        matched = linked + len(result.moved.matches) + len(result.moved.taken_back)
        return Counts(
            rows=changed.count, opened=len(result.opened), closed=len(result.closed), matched=matched, more=changed.more
        )

    def _match_persons(self, persons: set[str]) -> int:
        persons |= self._unmatched
        linked = self._barriers.run("match persons", lambda: self._identify(persons), None)
        failed = persons if linked is None and len(persons) <= limits.DETECT_UNMATCHED_MAX else set()
        self._unmatched = failed  # of more, `syncd identity match` looks at all
        return linked or 0

    def _sweep(self, tx: Tx, changed: Changed, now: str) -> None:
        """Once a day the rows of open cases: what no change of theirs tells (a date, the tree, another's row)."""
        today = day_of_instant(now)
        if self._swept_on == today:
            return
        self._swept_on = today
        names = {table.number: table.name for table in self._store.registry}
        kinds = sorted(kind.value for kind in KINDS)
        marks = ", ".join("?" * len(kinds))
        rows = tx.all(
            f"SELECT r.tab, r.row_id FROM syncd_case_row AS r JOIN syncd_case AS c ON c.case_id = r.case_id"
            f" WHERE c.closed_at IS NULL AND c.kind IN ({marks}) ORDER BY c.opened_at LIMIT ?",
            (*kinds, limits.DETECT_SWEEP_CASES),
        )
        for tab, row_id in rows:
            if tab in names:
                changed.rows[names[tab]].add(row_id)

    def _look_at_lists(self, tx: Tx, changed: Changed, only: set[str] | None) -> None:
        """Once the code lists have changed, all rows that they now speak against, in turns."""
        registry = self._store.registry
        if self._codes.lists is None or have_moved(tx, only):
            self._codes = seen_anew(tx, registry, self._codes)
        found, self._codes = spoken_against(tx, registry, self._codes)
        for table, row_id in found:
            changed.rows[table].add(row_id)
        changed.more = changed.more or bool(self._codes.left)

    # --- judging --------------------------------------------------------------------------------------------------

    def _judged(self, places: Places, changed: Changed, now: str) -> _Result:
        """By every rule; where one fails, each for itself, and around the rows it fails on."""
        try:
            return self._judge(places, changed, now, tuple(RULES))
        except Exception as error:  # whatever a row made of our code
            if isinstance(error, PASSING):
                raise
            first = error
        with self._store.read() as tx:
            changed.rows["person"] |= marked(tx, changed.units)
        changed = replace(changed, units=set())
        found: list[_Result] = []
        stopped: list[Finding] = []
        is_told = False
        for rule in RULES:
            done, told = by_halves(rule, changed, partial(self._judge_alone, places, now, rule), self._units)
            found += done
            stopped += told
            is_told = is_told or len(done) != 1
        if not is_told:  # each rule by itself fails on nothing
            tell(first, duty=DUTY, rows=changed.count)
        return _merged(found, stopped, sorted(changed.due))

    def _judge_alone(self, places: Places, now: str, rule: str, part: Changed) -> _Result:
        return self._judge(places, part, now, (rule,))

    def _units(self, rows: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Rows that are there → their unit."""
        units: dict[str, str | None] = {}
        with self._store.read() as tx:
            for table in {table for table, _row in rows}:
                units |= dict(chosen(tx, f"SELECT id, unit_id FROM {quoted(table)} WHERE", "id",
                                     [row for name, row in rows if name == table]))  # fmt: skip
        return {row: unit for row, unit in units.items() if unit is not None}

    def _judge(self, places: Places, changed: Changed, now: str, rules: Sequence[str]) -> _Result:
        with self._store.read() as tx:
            alike = households_beside(tx, changed.rows.get("household", ()))
            if alike:  # their case changes with it
                changed.rows["household"] |= alike
            records = gather(tx, changed)
            gone = changed.rows.get("migration", set()) - records.moves.keys()
            moved = moves.look(tx, places, records, gone, day_of_instant(now)) if "moves" in rules else moves.Moved()
            look = Look(
                tx=tx, registry=self._store.registry, places=places, changed=changed, records=records, moved=moved,
                lists=self._codes.lists or {}, today=day_of_instant(now),
            )  # fmt: skip
            return self._result(look, rules, now)

    def _result(self, look: Look, rules: Sequence[str], now: str) -> _Result:
        tx, places, changed = look.tx, look.places, look.changed
        open_cases = self._open_cases(tx, set().union(*changed.rows.values()) | look.records.complete(), rules)
        standing: dict[str, Finding] = {}
        agenda: dict[tuple[int, str], str] = {}
        for each in self._found(look, rules):
            due_at = self._due_at(tx, places, each, changed, open_cases, now)
            if due_at is None:
                standing[each.case_id] = each
            else:
                agenda[self._number(each.sides[0].table), each.sides[0].row_id] = due_at
        return _Result(
            opened=[each for case, each in standing.items() if case not in open_cases],
            closed=sorted(case for case in open_cases if case not in standing),
            standing=frozenset(standing),
            moved=look.moved,
            agenda=agenda,
            looked=sorted(changed.due),
        )

    @staticmethod
    def _found(look: Look, rules: Sequence[str]) -> Iterable[Finding]:
        """Everything that is this node's to say."""
        for each in (finding for rule in rules for finding in RULES[rule][1](look)):
            units = [side.unit_id for side in each.sides if side.unit_id is not None]
            if look.places.is_root if each.only_root else look.places.meet_here(units, each.nodes):
                yield each

    def _due_at(
        self, tx: Tx, places: Places, found: Finding, changed: Changed, open_cases: Mapping[str, object], now: str
    ) -> str | None:
        """None: it stands now. Else when to look again."""
        if found.stands_from is not None:
            stands = instant_of(beginning_of(found.stands_from))
            return None if stands <= now else stands
        if not found.grace_days or found.case_id in open_cases:
            return None
        is_late = any(self._is_behind(tx, node) for node in found.nodes)
        if found.sides[0].row_id in changed.due and not is_late:
            return None
        return instant_of(time_ms_of(now) + int(timedelta(days=found.grace_days).total_seconds() * 1000))

    @staticmethod
    def _is_behind(tx: Tx, node: str) -> bool:
        """Whether something a node wrote is not in the tables yet."""
        query = "SELECT 1 FROM syncd_stream WHERE keeper = ? AND kind = 1 AND applied_seq < held_seq LIMIT 1"
        return tx.one(query, (node,)) is not None

    @staticmethod
    def _open_cases(tx: Tx, rows: Iterable[str], rules: Sequence[str]) -> dict[str, None]:
        """Open cases about one of these rows that these rules find, or that say that one of them failed there."""
        kinds = frozenset({CaseKind.DUTY_STOPPED}).union(*(RULES[rule][0] for rule in rules))
        query = _OPEN.format(kinds=", ".join(f"'{kind}'" for kind in sorted(kinds)))
        return dict.fromkeys(
            case for case, kind, detail in chosen(tx, query, "r.row_id", rows)
            if kind != CaseKind.DUTY_STOPPED.value or json.loads(detail).get("rule") in rules
        )  # fmt: skip

    # --- writing ----------------------------------------------------------------------------------------------------

    def _write(self, tx: Tx, result: _Result, now: str) -> None:
        tx.many("DELETE FROM syncd_agenda WHERE row_id = ?", [(row,) for row in result.looked])
        tx.many(
            "INSERT INTO syncd_agenda (tab, row_id, due_at) VALUES (?, ?, ?) ON CONFLICT (tab, row_id) DO NOTHING",
            [(tab, row_id, due_at) for (tab, row_id), due_at in sorted(result.agenda.items())],
        )
        for case in result.closed:
            close_case(tx, case, now)
        withdraw_questions(tx, result.closed, ITSELF, now)
        for found in result.opened:
            self._open(tx, found, now)
        for match in result.moved.matches:
            self._match(tx, str(uuid.UUID(bytes=self._random(16), version=4)), match, now)
        for standing in result.moved.taken_back:
            write_match(tx, standing.match_id, standing.sides, "apart", standing.method, ITSELF, now)

    def _open(self, tx: Tx, found: Finding, now: str) -> None:
        first = found.sides[0]
        rule = found.detail.get("rule")
        open_case(
            tx, found.kind, (*([str(rule)] if rule else []), *(side.row_id for side in found.sides)),
            opened_at=now, detail=found.detail, unit_id=first.unit_id, tab=self._number(first.table),
            row_id=first.row_id, rows=[(s.row_id, self._number(s.table), s.unit_id) for s in found.sides],
        )  # fmt: skip

    @staticmethod
    def _match(tx: Tx, match_id: str, match: moves.Match, now: str) -> None:
        sides: dict[str, str] = dict(chosen(tx, "SELECT id, unit_id FROM migration WHERE", "id", match.ids))
        if len(sides) == len(match.ids) and not moves.matched_among(tx, match.ids):  # by another process meanwhile
            write_match(tx, match_id, sides, "matched", match.method, ITSELF, now)

    def _number(self, table: str) -> int:
        return self._store.registry.by_name[table].number


def _merged(found: Sequence[_Result], stopped: Sequence[Finding], looked: list[str]) -> _Result:
    """What rules have found in parts, each part once; what was not looked at stays as it is."""
    opened = {each.case_id: each for result in found for each in result.opened}
    opened |= {each.case_id: each for each in stopped}
    standing = opened.keys() | {case for result in found for case in result.standing}
    moved = moves.Moved(
        matches=list({match.ids: match for result in found for match in result.moved.matches}.values()),
        taken_back=list({each.match_id: each for result in found for each in result.moved.taken_back}.values()),
    )
    agenda = {place: due_at for result in found for place, due_at in result.agenda.items()}
    closed = sorted({case for result in found for case in result.closed} - standing)
    return _Result(
        opened=list(opened.values()), closed=closed, standing=frozenset(standing), moved=moved, agenda=agenda,
        looked=looked,
    )  # fmt: skip


def write_match(
    tx: Tx, match_id: str, sides: Mapping[str, str], state: str, method: str, by: str, now: str
) -> None:  # fmt: skip
    """One row per side, each about its own unit. `sides`: migration → unit."""
    tx.many(
        "INSERT INTO move_match (unit_id, match_id, migration_id, state, method, decided_by, decided_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(unit, match_id, migration, state, method, by, now) for migration, unit in sorted(sides.items())],
    )
