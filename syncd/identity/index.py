"""The index of blocking keys in local tables, so that a group's persons are matched without reading all others.

Enters: a store, or a transaction and the ids that a group changed. Leaves: rows of `syncd_identity_…`.
Must hold: `update` may run inside the transaction that applies, and costs by the persons changed alone; an index begun
and not finished is none. Many keys are written in their own order: in that of persons each of them would touch a page
of its own. Whoever comes or changes once the old index is gone is noted by whoever notices it (`update`): `index_all`
reads everybody after that. A person that changes while it runs keeps a stale key at worst: it yields a comparison too
many, never a link, since what is compared is the row as it stands.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from conflict.identity_names import Name
from syncd.identity import sql
from syncd.identity.keys import KEY_BYTES, KINDS, keys_of, pack, unpack
from syncd.identity.looked import INDEXED, LAID
from syncd.identity.people import PERSONS, People, everybody
from syncd.limits import IDENTITY_INDEX_ROWS
from syncd.store.base import Store, Tx
from syncd.store.patience import patiently

TABLES = ("syncd_identity_due", "syncd_identity_part", "syncd_identity_key", "syncd_identity_person")
LOCK = "syncd identity"
NIL = "00000000-0000-0000-0000-000000000000"  # before every id
EVERYBODY = "*"  # the part that all bear
PERSON_COLUMNS = (("person_id", sql.UUIDS), ("keys", "bytea[]"))
KEY_COLUMNS = (("key", sql.NUMBERS), ("person_id", sql.UUIDS))

KeyColumns: TypeAlias = "list[array[int]]"


def index_all(store: Store) -> tuple[People, KeyColumns, int]:
    """Make the whole index anew; returns everybody, their keys, and what `finish` asks for once they are matched."""
    laid = _empty(store)
    with store.read() as tx:
        people = everybody(tx)
    _count(store, people)
    columns = key_columns(people)
    for places in _chunks(sorted(range(len(people)), key=people.ids.__getitem__)):
        packed = [(people.ids[place], pack(column[place] for column in columns)) for place in places]
        _insert(store, "syncd_identity_person", PERSON_COLUMNS, packed)
    for column in columns:  # in the order of the index: its pages are filled one after the other
        for places in _chunks(sorted((n for n, key in enumerate(column) if key), key=column.__getitem__)):
            _insert(store, "syncd_identity_key", KEY_COLUMNS, [(column[n], people.ids[n]) for n in places])
    return people, columns, laid


@patiently
def _empty(store: Store) -> int:
    """Returns how often keys were laid by now."""
    with store.write("identity-index") as tx:
        tx.lock(LOCK)
        _note_laid(tx)
        tx.run("DELETE FROM syncd_meta WHERE key = ?", (INDEXED,))
        for table in TABLES:
            tx.run(f"DELETE FROM {table}")
        return times_laid(tx)


@patiently
def _count(store: Store, people: People) -> None:
    """Before any of them is noted: who finds all persons noted counts nobody any more."""
    with store.write("identity-index") as tx:
        tx.lock(LOCK)
        tx.run("DELETE FROM syncd_identity_part")  # of some of them, who changed since
        _add_parts(tx, count_parts(people))


@patiently
def _insert(store: Store, table: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> None:
    with store.write("identity-index") as tx:
        sql.insert(tx, table, columns, rows)


def finish(tx: Tx, laid: int) -> None:
    """Note that the index is whole. Where a daemon has laid keys meanwhile it is the daemon's to sweep them, and to say
    so."""
    if times_laid(tx) == laid:
        note_indexed(tx)


def note_indexed(tx: Tx) -> None:
    """Everybody is in the index."""
    tx.run("INSERT INTO syncd_meta (key, value) VALUES (?, '1') ON CONFLICT DO NOTHING", (INDEXED,))


def key_columns(people: People) -> KeyColumns:
    """Everybody's keys, one array per kind."""
    columns = [array("q", bytes(KEY_BYTES * len(people))) for _ in range(KINDS)]
    for place in range(len(people)):
        for column, key in zip(columns, keys_at(people, place), strict=True):
            column[place] = key
    return columns


def update(tx: Tx, changed_ids: Iterable[str]) -> None:
    """Bring the keys of these persons up to date and note that they are due; ids of persons that are gone too."""
    ids = sorted(set(changed_ids))
    known, people, packed = _compared(tx, ids)
    stale = [person_id for person_id, keys in known.items() if packed.get(person_id) != keys]
    fresh = sorted(person_id for person_id, keys in packed.items() if known.get(person_id) != keys)
    tx.many(
        "DELETE FROM syncd_identity_key WHERE key = ? AND person_id = ?",
        sorted((key, person_id) for person_id in stale for key in unpack(known[person_id])),
    )
    tx.many("DELETE FROM syncd_identity_person WHERE person_id = ?", [(person_id,) for person_id in stale])
    _add_persons(tx, known, people, [(person_id, packed[person_id]) for person_id in fresh])
    sql.insert(
        tx, "syncd_identity_key", KEY_COLUMNS,
        sorted((key, person_id) for person_id in fresh for key in unpack(packed[person_id])),
    )  # fmt: skip
    sql.insert(tx, "syncd_identity_due", (("person_id", sql.UUIDS),), [(person_id,) for person_id in ids])


def lay(tx: Tx, ids: Sequence[str]) -> None:
    """Note the keys of persons that are not known yet, beside the persons alone: they are not in the index, and it is
    not finished, before `sweep.Sweep` has written them there too."""
    known, people, packed = _compared(tx, ids)
    _add_persons(tx, known, people, sorted((person_id, packed[person_id]) for person_id in packed.keys() - known))
    _note_laid(tx)


def _compared(tx: Tx, ids: Sequence[str]) -> tuple[dict[str, bytes], People, dict[str, bytes]]:
    """The keys that were noted, the persons as they stand, and their keys."""
    select = "SELECT person_id, keys FROM syncd_identity_person"
    known = {row[0]: bytes(row[1]) for row in sql.select_in(tx, select, "person_id", ids)}
    people = People()
    people.add(sql.select_in(tx, PERSONS, "id", ids))
    return known, people, {people.ids[place]: pack(keys_at(people, place)) for place in range(len(people))}


def _add_persons(tx: Tx, known: Mapping[str, bytes], people: People, rows: Sequence[tuple[str, bytes]]) -> None:
    sql.insert(tx, "syncd_identity_person", PERSON_COLUMNS, rows)
    # Counts of names only weigh evidence: a person renamed or gone moves them too little to be worth a second read.
    _add_parts(tx, _parts_of(people, [place for place, each in enumerate(people.ids) if each not in known]))


def note_due_after(tx: Tx, after: str, most: int) -> str | None:
    """Note up to `most` persons whose ids follow `after` as due; returns the last of them, None: nobody follows."""
    ids = [row[0] for row in tx.all(_NEXT_PERSONS, (after, most))]
    sql.insert(tx, "syncd_identity_due", (("person_id", sql.UUIDS),), [(person_id,) for person_id in ids])
    return ids[-1] if ids else None


def times_laid(tx: Tx) -> int:
    """How often anybody has noted persons without writing their keys into the index."""
    return int(tx.value("SELECT value FROM syncd_meta WHERE key = ?", (LAID,)) or 0)


def _note_laid(tx: Tx) -> None:
    tx.run(
        "INSERT INTO syncd_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (LAID, str(times_laid(tx) + 1)),
    )


def changed_since(store: Store, most: int) -> list[str]:
    """The persons whose keys are not those of the index, and those of the index that are gone.

    For a node on which nobody called `update` for a while: reads everybody once, and no further behind more than `most`
    who changed.
    """
    changed: list[str] = []
    with store.read() as tx:
        for rows in tx.stream(_PERSONS_WITH_KEYS):
            people = People()
            people.add(row[:-1] for row in rows)
            for place, row in enumerate(rows):
                if row[-1] is None or bytes(row[-1]) != pack(keys_at(people, place)):
                    changed.append(row[0])
            if len(changed) > most:
                return changed
        changed += [row[0] for row in tx.all(_PERSONS_GONE)]
    return changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Persons compared with the index: how many, the last of them, those not in it, those whose keys are others."""

    count: int
    last: str
    unknown: list[str]
    stale: list[str]


def compared_after(tx: Tx, after: str, most: int) -> Compared | None:
    """Up to `most` persons whose ids follow `after`; None: nobody follows."""
    rows = tx.all(f"{_PERSONS_WITH_KEYS} WHERE p.id > ? ORDER BY p.id LIMIT ?", (after, most))
    if not rows:
        return None
    known = [row for row in rows if row[-1] is not None]
    people = People()
    people.add(row[:-1] for row in known)
    stale = [row[0] for place, row in enumerate(known) if bytes(row[-1]) != pack(keys_at(people, place))]
    unknown = [row[0] for row in rows if row[-1] is None]
    return Compared(count=len(rows), last=rows[-1][0], unknown=unknown, stale=stale)


def update_in_parts(store: Store, changed: Sequence[str]) -> None:
    """Bring the keys of many persons up to date, a bounded number in one transaction."""
    for start in range(0, len(changed), IDENTITY_INDEX_ROWS // KINDS):
        _update_some(store, changed[start : start + IDENTITY_INDEX_ROWS // KINDS])


@patiently
def _update_some(store: Store, changed: Sequence[str]) -> None:
    with store.write("identity-index") as tx:
        tx.lock(LOCK)
        update(tx, changed)


_PERSONS_WITH_KEYS = f"""
    SELECT p.*, k.keys FROM ({PERSONS}) AS p LEFT JOIN syncd_identity_person AS k ON k.person_id = p.id
"""
_NEXT_PERSONS = "SELECT person_id FROM syncd_identity_person WHERE person_id > ? ORDER BY person_id LIMIT ?"
_PERSONS_GONE = """
    SELECT k.person_id FROM syncd_identity_person AS k
    WHERE NOT EXISTS (SELECT 1 FROM person AS p WHERE p.id = k.person_id)
"""


def keys_at(people: People, place: int) -> tuple[int, ...]:
    """The keys of one person."""
    birth, precision = people.birth_of(place)
    return keys_of(
        people.name_of(place), people.sex[place], birth, precision,
        people.citizen_ids[place], people.insurance_nos[place], people.phones[place],
    )  # fmt: skip


def parts_of_name(name: Name) -> tuple[str, str, str]:
    """The parts of a name whose bearers are counted apart."""
    return f"f {name.family}", f"m {' '.join(name.middle)}", f"g {name.given}"


def count_parts(people: People) -> Counter[str]:
    """Bearers of each part of a name and of each ethnic code, among all read."""
    return _parts_of(people, range(len(people)))


def _parts_of(people: People, places: Sequence[int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number, bearers in Counter(people.name[place] for place in places).items():
        for part in parts_of_name(people.names[number]):
            counts[part] += bearers
    for number, bearers in Counter(people.ethnic[place] for place in places).items():
        counts[f"e {people.ethnics.values[number]}"] += bearers
    counts[EVERYBODY] += len(places)
    return counts


def _add_parts(tx: Tx, counts: Counter[str]) -> None:
    tx.many(
        "INSERT INTO syncd_identity_part (part, n) VALUES (?, ?)"
        " ON CONFLICT (part) DO UPDATE SET n = syncd_identity_part.n + excluded.n",
        sorted(item for item in counts.items() if item[1]),
    )


def _chunks(places: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(places), IDENTITY_INDEX_ROWS):
        yield places[start : start + IDENTITY_INDEX_ROWS]
