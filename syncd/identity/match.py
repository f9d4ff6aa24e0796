"""Matching: everybody at once, or only those who changed, against the index.

Enters: a store or an open write transaction, the scope, a time, randomness. Leaves: links and cases, and what was
counted.
Must hold: both ways judge by the same evidence and give the same links for the same rows; a pair linked by score alone
has no rival: where two candidates stand, a person looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from conflict.identity import Judgement, Method, Outcome, judge
from syncd.identity import links, sql
from syncd.identity.blocks import Blocks
from syncd.identity.evidence import Comparing
from syncd.identity.index import (
    EVERYBODY,
    LOCK,
    changed_since,
    count_parts,
    finish,
    index_all,
    parts_of_name,
    update_in_parts,
)
from syncd.identity.keys import unpack
from syncd.identity.links import Counts, Found, Known, RandomBytes, Side
from syncd.identity.looked import is_indexed, note_look
from syncd.identity.people import People, alone, some
from syncd.identity.scope import Scope, scope_of
from syncd.limits import (
    IDENTITY_BLOCK_PERSONS_MAX,
    IDENTITY_CANDIDATES_MAX,
    IDENTITY_DUE_PERSONS,
    IDENTITY_LOOKED_UP_MAX,
    IDENTITY_LOOKED_UP_SHARE,
    IDENTITY_WRITE_PAIRS,
)
from syncd.store.base import Store, Tx
from syncd.store.patience import patiently
from syncd.tree import load_tree


@dataclass(slots=True, kw_only=True)
class Matched:
    """What one call did."""

    persons: int = 0  # matched against all others
    compared: int = 0  # pairs that shared a key
    blocks_too_large: int = 0
    counts: Counts = field(default_factory=Counts)


def match_everybody(store: Store, now: str, random_bytes: RandomBytes) -> Matched:
    """Everybody, in the scope of this node as its tree stands."""
    return match_all(store, _scope(store), now, random_bytes)


def match_changed(store: Store, now: str, random_bytes: RandomBytes) -> Matched:
    """Those who changed since they were last matched; everybody where nobody was ever indexed, or where so many changed
    that one walk over all is cheaper than looking each of them up."""
    with store.read() as tx:
        known = is_indexed(tx)
        due, persons = tx.value("SELECT count(*) FROM syncd_identity_due"), tx.value("SELECT count(*) FROM person")
    if not known:
        return match_everybody(store, now, random_bytes)
    most = max(IDENTITY_LOOKED_UP_MAX, persons // IDENTITY_LOOKED_UP_SHARE)
    changed = [] if due > most else changed_since(store, most)
    if due + len(changed) > most:
        return match_everybody(store, now, random_bytes)
    update_in_parts(store, changed)
    return _match_due(store, now, random_bytes)


def _match_due(store: Store, now: str, random_bytes: RandomBytes) -> Matched:
    scope, done = _scope(store), Matched()
    while True:
        part = _match_some(store, scope, now, random_bytes)
        if not part.persons:
            return done
        done.persons += part.persons
        done.compared += part.compared
        done.blocks_too_large += part.blocks_too_large
        done.counts.add(part.counts)


@patiently
def _match_some(store: Store, scope: Scope, now: str, random_bytes: RandomBytes) -> Matched:
    with store.write("identity-match") as tx:
        return match_new(tx, scope, now, random_bytes)


def match_persons(store: Store, persons: set[str], now: str, random_bytes: RandomBytes) -> int:
    """Match persons known to have changed, in an index that is there; returns how many links were written or taken
    back."""
    update_in_parts(store, sorted(persons))
    counts = _match_due(store, now, random_bytes).counts
    return counts.linked + counts.proposed + counts.withdrawn


def _scope(store: Store) -> Scope:
    with store.read() as tx:
        return scope_of(load_tree(tx))


def match_all(store: Store, scope: Scope, now: str, random_bytes: RandomBytes) -> Matched:
    """Index and match everybody of this database."""
    people, columns, laid = index_all(store)
    blocks = Blocks(columns, *_branches(people, scope))
    comparing = Comparing(people, count_parts(people))
    with store.read() as tx:
        known = links.every_link(tx)
    found = judged(people, comparing, blocks, known)
    done = Matched(persons=len(people), compared=blocks.compared, blocks_too_large=blocks.too_large)
    for start in range(0, len(found), IDENTITY_WRITE_PAIRS):
        done.counts.add(_write_found(store, found[start : start + IDENTITY_WRITE_PAIRS], now, random_bytes))
    done.counts.withdrawn += _conclude(store, people, known, laid, now)
    return done


@patiently
def _write_found(store: Store, found: Sequence[Found], now: str, random_bytes: RandomBytes) -> Counts:
    with store.write("identity-match") as tx:
        tx.lock(LOCK)
        return links.write_found(tx, found, now, random_bytes)


@patiently
def _conclude(store: Store, people: People, known: Sequence[Known], laid: int, now: str) -> int:
    """How many links are withdrawn, since a side is gone. The index is whole from here on, not before: who finds it so
    takes everybody in it for matched, or due."""
    with store.write("identity-match") as tx:
        tx.lock(LOCK)
        come = alone(tx, sorted(_ids_of(known) - people.places.keys()))  # and linked since everybody was read
        withdrawn = _withdraw_gone(tx, people.places.keys() | come.places.keys(), known, now)
        note_look(tx, now)
        finish(tx, laid)
    return withdrawn


def match_new(tx: Tx, scope: Scope, now: str, random_bytes: RandomBytes) -> Matched:
    """Match up to IDENTITY_DUE_PERSONS persons who are due; nothing is due any more when `persons` is 0."""
    tx.lock(LOCK)
    due = [row[0] for row in tx.all(
        "SELECT person_id FROM syncd_identity_due ORDER BY person_id LIMIT ?", (IDENTITY_DUE_PERSONS,))]  # fmt: skip
    if not due:
        return Matched()
    candidates, too_large = _candidates(tx, due)
    known = links.known_links(tx, due)
    here = alone(tx, sorted({*due, *_ids_of(known), *(each for others in candidates.values() for each in others)}))
    near = {*_shared(here, scope, candidates), *_kept(here, known)}
    people = some(tx, sorted({here.ids[place] for pair in near for place in pair}))
    comparing = Comparing(people, _parts(tx, people))
    pairs = _places(people, [(here.ids[one], here.ids[other]) for one, other in near])
    found = _judge(people, comparing, pairs, {link.ids for link in known})
    found = _without_rivals(found, links.known_links(tx, sorted({person for each in found for person in each.ids})))
    done = Matched(persons=len(due), compared=len(pairs), blocks_too_large=too_large)
    done.counts = links.write_found(tx, found, now, random_bytes)
    done.counts.withdrawn += _withdraw_gone(tx, here.places.keys(), known, now)
    tx.many("DELETE FROM syncd_identity_due WHERE person_id = ?", [(person_id,) for person_id in due])
    return done


def judged(people: People, comparing: Comparing, blocks: Blocks, known: Sequence[Known] = ()) -> list[Found]:
    """Every pair of everybody that is a link, a proposal or a clash. `known`: links that are there, each judged again,
    also where the rows have no key in common any more."""
    before = {link.ids for link in known}
    found = _judge(people, comparing, blocks.pairs(comparing.passes), before)
    met = {each.ids for each in found}
    apart = [(one, other) for one, other in _kept(people, known) if _ids(people, one, other) not in met]
    return _without_rivals([*found, *_judge(people, comparing, apart, before)], known)


def _ids(people: People, one: int, other: int) -> frozenset[str]:
    return frozenset((people.ids[one], people.ids[other]))


def _branches(people: People, scope: Scope) -> tuple[list[int], int]:
    """Per person the number of its branch, and this node's own; -1: not this node's to match."""
    numbers = {branch: number for number, branch in enumerate(sorted({*scope.branches.values(), scope.node_id}))}
    of_unit = [numbers[scope.branches[unit]] if unit in scope.branches else -1 for unit in people.units.values]
    return [of_unit[unit] for unit in people.unit], numbers[scope.node_id]


def _judge(
    people: People, comparing: Comparing, pairs: Iterable[tuple[int, int]], anyhow: set[frozenset[str]]
) -> list[Found]:
    """Pairs worth writing; those of `anyhow` whatever comes out."""
    found = []
    for one, other in pairs:
        judgement = judge(comparing.evidence(one, other))
        sides = (_side(people, one), _side(people, other))
        if judgement.outcome is not Outcome.NOTHING or frozenset(side.person_id for side in sides) in anyhow:
            found.append(Found(sides=sides, judgement=judgement))
    return found


def _without_rivals(found: Sequence[Found], known: Sequence[Known]) -> list[Found]:
    """Links by score of which a side has another candidate become proposals; a pair taken apart is no candidate."""
    partners: dict[str, set[str]] = {}
    apart = {link.ids for link in known if link.state == links.State.UNLINKED}
    likely = {each.ids for each in found if each.judgement.outcome in _RIVALS} | {link.ids for link in known}
    for ids in likely - apart:
        for person in ids:
            partners.setdefault(person, set()).update(ids - {person})
    return [
        replace(each, judgement=_asked(each.judgement)) if _has_rival(each, partners) else each for each in found
    ]  # fmt: skip


_RIVALS = (Outcome.LINK, Outcome.PROPOSE)


def _has_rival(each: Found, partners: Mapping[str, set[str]]) -> bool:
    if each.judgement.outcome is not Outcome.LINK or each.judgement.method is not Method.SCORE:
        return False
    return any(len(partners.get(person, ())) > 1 for person in each.ids)


def _asked(judgement: Judgement) -> Judgement:
    return replace(judgement, outcome=Outcome.PROPOSE, why=(*judgement.why, "rival"))


def _side(people: People, place: int) -> Side:
    return Side(person_id=people.ids[place], unit_id=people.unit_of(place))


def _candidates(tx: Tx, due: Sequence[str]) -> tuple[dict[str, set[str]], int]:
    """Whom each person who is due shares a key with, bounded; and the number of keys too common to tell anything."""
    rows = sql.select_in(tx, "SELECT person_id, keys FROM syncd_identity_person", "person_id", due)
    keys = {row[0]: unpack(bytes(row[1])) for row in rows}
    wanted = sorted({key for each in keys.values() for key in each})
    select = "SELECT key, count(*) FROM syncd_identity_key"
    sizes: dict[int, int] = dict(sql.select_in(tx, select, "key", wanted, sql.NUMBERS, "GROUP BY key"))
    narrow = [key for key in wanted if 1 < sizes.get(key, 0) <= IDENTITY_BLOCK_PERSONS_MAX]
    bearers: dict[int, list[str]] = {}
    select = "SELECT key, person_id FROM syncd_identity_key"
    for key, person_id in sql.select_in(tx, select, "key", narrow, sql.NUMBERS, "ORDER BY key, person_id"):
        bearers.setdefault(key, []).append(person_id)
    found: dict[str, set[str]] = {}
    for person_id, own in keys.items():
        mine = found[person_id] = set()
        for key in own:  # the surest first
            for other in bearers.get(key, ()):
                if other != person_id and len(mine) < IDENTITY_CANDIDATES_MAX:
                    mine.add(other)
    return found, sum(size > IDENTITY_BLOCK_PERSONS_MAX for size in sizes.values())


def _shared(people: People, scope: Scope, candidates: Mapping[str, set[str]]) -> Iterator[tuple[int, int]]:
    """Pairs worth all the evidence: most persons who share a key have neither a name nor a date of birth in common."""
    comparing = Comparing(people, {})
    for person_id, others in candidates.items():
        if person_id not in people.places:
            continue  # gone since
        one = people.places[person_id]
        for other in [people.places[each] for each in others if each in people.places]:
            if scope.has(people.unit_of(one), people.unit_of(other)) and (
                comparing.passes(one, other) or _one_number(people, one, other)
            ):
                yield (one, other) if one < other else (other, one)


def _one_number(people: People, one: int, other: int) -> bool:
    return any(
        numbers[one] != "" and numbers[one] == numbers[other] for numbers in (people.citizen_ids, people.insurance_nos)
    )


def _ids_of(known: Sequence[Known]) -> set[str]:
    return {person for link in known for person in link.ids}


def _places(people: People, pairs: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
    """Of pairs of persons, without those of whom one went since they were found."""
    found = [sorted((people.places.get(one, -1), people.places.get(other, -1))) for one, other in pairs]
    return sorted((one, other) for one, other in found if one >= 0)


def _kept(people: People, known: Sequence[Known]) -> Iterator[tuple[int, int]]:
    """Pairs linked before: what they rested on may have changed."""
    for link in known:
        one, other = sorted(people.places.get(person, -1) for person in link.ids)
        if one >= 0:
            yield one, other


def _withdraw_gone(tx: Tx, here: Set[str], known: Sequence[Known], now: str) -> int:
    gone = [
        link
        for link in known
        if link.is_mine and link.state != links.State.UNLINKED and not link.ids <= here
    ]  # fmt: skip
    for link in gone:
        links.withdraw(tx, link, now)
    return len(gone)


def _parts(tx: Tx, people: People) -> Counter[str]:
    """Bearers of the name parts of these persons, from the index."""
    wanted = {part for name in people.names for part in parts_of_name(name)}
    wanted |= {f"e {ethnic}" for ethnic in people.ethnics.values} | {EVERYBODY}
    rows = sql.select_in(tx, "SELECT part, n FROM syncd_identity_part", "part", sorted(wanted), "text[]")
    return Counter(dict(rows))
