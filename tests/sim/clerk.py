"""Random clerks: what people type at a keeper, and a model that remembers every acknowledged word of it.

Enters: a node, seeded randomness. Leaves: transactions at the node; a model of what its register must hold.
Must hold: the model learns nothing from the database but the verdicts the keeper recorded.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from schema.spec import Kind, Table
from schema.tables import registry
from syncd.store.base import Tx
from tests.trees import TreeNode

# v: what the keeper decided by itself; not a person's word about that, nor that it decides in another unit.
DECISION = """v.outcome <> 'referred' AND (v.resolves IS NULL
    OR NOT EXISTS (SELECT 1 FROM verdict AS w WHERE w.id = v.resolves AND w.outcome <> 'referred'))"""
REGISTER = {table.name: table for table in registry().of_kind(Kind.REGISTER) if table.name != "verdict"}
STAMPED = 5  # rows that every stamping transaction gives one value

Row = dict[str, Any]


class Undone(Exception):  # noqa: N818 - the clerk's own second thoughts
    """The clerk rolls the transaction back."""


class Clerk:
    """Writes one unit's register at one node, in one term. `tables`: table → id → row, as acknowledged.

    `number`: goes into the ids, so that two clerks at one node mint none twice.
    """

    def __init__(
        self, at: TreeNode, source: random.Random, counts: Counter[str], unit_id: str = "", number: int = 0
    ) -> None:
        self.at = at
        self.unit_id = unit_id or at.unit_id
        self.number = number
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in REGISTER}
        self.before: dict[str, dict[str, Row]] = {name: {} for name in REGISTER}  # what the term took over
        self.stamps = 0
        self._random = source
        self._counts = counts
        self._minted = 0
        self.verdicts: set[str] = set()
        # Of nodes whose copies are put back or run twice: row → every word of it with the machine that acknowledged it.
        self.ledger: dict[tuple[str, str], list[tuple[int, Row | None]]] = {}
        self.has_copies = False
        self.machine = 0
        self.is_loose = False  # followed by its words alone: the tables are the model
        self.moved: Callable[[str], None] = lambda _order: None  # rows pass to this unit from another one kept here
        self._draft = self.tables

    def begin(self) -> None:
        """The rows that carry stamps."""
        self._transaction(
            lambda tx: [self._insert(tx, "household", self._household(f"{n}", "s0")) for n in range(1, STAMPED + 1)]
        )

    def write(self) -> None:
        """One transaction of some kind."""
        if self.has_copies:  # a stream under way back may show less than it did
            self.tables = {table: self.read(table) for table in self.tables}
        self.refresh()
        kinds: list[Callable[[Tx], Any]] = [
            self._new_household,
            self._new_household,
            self._edit_person,
            self._edit_person,
            self._edit_many,
            self._delete_person,
            self._replace_person,
            self._reborn,
            self._event,
            self._stamp,
            self._stamp,
            self._busy,
            self._savepoint,
            self._give_up,
        ]
        self._transaction(self._random.choice(kinds))

    def refresh(self) -> None:
        """Where the tables are the model, they are read before anything is chosen from them."""
        if self.is_loose:
            self.tables = {table: self.read(table) for table in self.tables}

    def learn_verdicts(self) -> None:
        """What the keeper decided counts as its own word."""
        if self.has_copies:
            self.audit()
            return
        rows = self.at.rows(
            f"SELECT id, proposal_id, row_id, detail FROM verdict AS v WHERE unit_id = ? AND {DECISION}"
            " ORDER BY decided_at, id",
            (self.unit_id,),
        )
        for verdict_id, proposal_id, row_id, detail in rows:
            if verdict_id not in self.verdicts:
                self.verdicts.add(verdict_id)
                self._carry_out(proposal_id, row_id, json.loads(detail))

    def _carry_out(self, proposal_id: str, row_id: str | None, detail: Row) -> None:
        if detail.get("why") == "reassigned":
            self.moved(proposal_id)
            return
        if self.is_loose:
            return
        accepted = {
            column["column"]: column["wished"] for column in detail["columns"] if column["result"] == "accepted"
        }
        table = self.at.value("SELECT table_name FROM proposal WHERE id = ?", (proposal_id,))
        if detail.get("insert") and row_id:
            self.tables[table][row_id] = {**_empty(REGISTER[table]), **accepted, **detail.get("renamed", {})}
        elif accepted and row_id and row_id in self.tables[table]:
            self.tables[table][row_id].update(accepted)

    def learn_all(self) -> None:
        """What a term takes over holds the effect of the verdicts there are."""
        rows = self.at.rows(f"SELECT id FROM verdict AS v WHERE unit_id = ? AND {DECISION}", (self.unit_id,))
        self.verdicts |= {row[0] for row in rows}

    def _transaction(self, work: Callable[[Tx], Any]) -> None:
        self._draft = copy.deepcopy(self.tables)
        try:
            with self.at.store.write("clerk") as tx:
                work(tx)
        except Undone:
            self._counts["rolled back"] += 1
        else:
            before, self.tables = self.tables, self._draft
            self._note(before)
            self._counts["writes"] += 1

    # --- where copies of the database are put back, or run twice --------------------------------------------------

    def _note(self, before: dict[str, dict[str, Row]]) -> None:
        for table, rows in self.tables.items():
            for row_id in rows.keys() | before[table].keys():
                if rows.get(row_id) != before[table].get(row_id):
                    self.ledger.setdefault((table, row_id), []).append((self.machine, rows.get(row_id)))

    def audit(self) -> None:
        """The tables may have gone over to another branch: what was acknowledged is there still, or was overruled by
        another acknowledged word, or is named by a proposal or a wish. Then the tables are the model.
        """
        if self.at.value("SELECT count(*) FROM syncd_stream WHERE rejoin_seq > 0"):
            return  # under way: to be judged when the streams are back
        found = {table: self.read(table) for table in self.tables}
        self._check_words(found, lambda machine: machine == self.machine)
        self.tables = found

    def audit_all(self) -> None:
        """At rest: the words of every machine there ever was."""
        self._check_words({table: self.read(table) for table in self.tables}, lambda _machine: True)

    def _check_words(self, found: dict[str, dict[str, Row]], counts: Callable[[int], bool]) -> None:
        for (table, row_id), words in self.ledger.items():
            for machine in {machine for machine, _word in words if counts(machine)}:
                mine = [word for at, word in words if at == machine]
                self._check_named(table, row_id, mine[-1], [word for _at, word in words], found[table].get(row_id))

    def read(self, table: str) -> dict[str, Row]:
        names = [column.name for column in REGISTER[table].columns]
        query = f"SELECT id, {', '.join(names)} FROM {table} WHERE unit_id = ?"
        return {row[0]: dict(zip(names, row[1:], strict=True)) for row in self.at.rows(query, (self.unit_id,))}

    def _check_named(self, table: str, row_id: str, last: Row | None, words: list[Row | None], now: Row | None) -> None:
        """One machine's last word about a row, unless another's stands instead."""
        if now == last or (now is None and None in words):
            return
        wishes = self._wishes(table, row_id)
        if last is None or now is None:
            what = "kept" if now else "lost"
            assert wishes or now in words, f"{self.at.name}.{table} {row_id}: {what} against the last word of it"
            return
        for name, value in last.items():
            said = [word[name] for word in words if word is not None]
            overruled = now[name] in said
            decided = any(name in wish for wish in wishes)
            assert now[name] == value or overruled or decided, (
                f"{self.at.name}.{table} {row_id}: {name} is {now[name]!r}, acknowledged was {value!r}, nobody names it"
            )

    def _wishes(self, table: str, row_id: str) -> list[Row]:
        """What is wished for a row, decided or not; of a delete, every column."""
        rows = self.at.rows(
            "SELECT operation, wished FROM proposal WHERE table_name = ? AND row_id = ? UNION ALL"
            " SELECT op, wished FROM syncd_wish WHERE tab = ? AND row_id = ?",
            (table, row_id, REGISTER[table].number, row_id),
        )
        return [_empty(REGISTER[table]) if op in ("delete", "insert") else json.loads(wished) for op, wished in rows]

    # --- kinds of transactions ------------------------------------------------------------------------------------

    def _new_household(self, tx: Tx) -> None:
        household = self._insert(tx, "household", self._household(str(self._random.randrange(100, 999)), None))
        rows = [self._person(household) for _ in range(self._random.randint(1, 4))]
        names = list(rows[0])
        marks = ", ".join(f"({', '.join('?' * (len(names) + 1))})" for _ in rows)
        ids = [self._mint() for _ in rows]
        values = [value for row_id, row in zip(ids, rows, strict=True) for value in (row_id, *row.values())]
        tx.run(f"INSERT INTO person (id, {', '.join(names)}) VALUES {marks}", values)
        for row_id, row in zip(ids, rows, strict=True):
            self._draft["person"][row_id] = {**_empty(REGISTER["person"]), **_said(row)}

    def _edit_person(self, tx: Tx) -> None:
        if row_id := self._some("person"):
            self._update(
                tx,
                "person",
                row_id,
                self._random.choice(
                    [
                        {"phone": self._digits(9)},
                        {"education": self._digits(2)},
                        {"marital": self._digits(1)},
                        {"sex": 2},
                        {"residence": "absent"},
                        {"ethnic": "02", "phone": None},
                        {"full_name": f"Nguyễn Thị {self._digits(3)}"},
                        {"citizen_id": self._digits(12)},
                        {"birth_date": f"19{self._digits(1)}1-0{self._random.randint(1, 9)}-11"},
                    ]
                ),
            )

    def _edit_many(self, tx: Tx) -> None:
        value = self._digits(3)
        tx.run("UPDATE person SET phone = ? WHERE sex = 1 AND unit_id = ?", (value, self.unit_id))
        for row in self._draft["person"].values():
            if row["sex"] == 1:
                row["phone"] = value

    def _delete_person(self, tx: Tx) -> None:
        if row_id := self._some("person"):
            tx.run("DELETE FROM person WHERE id = ?", (row_id,))
            del self._draft["person"][row_id]

    def _replace_person(self, tx: Tx) -> None:
        """REPLACE, as DELETE and INSERT in one word."""
        if row_id := self._some_of_mine():
            row = self._person(self._draft["person"][row_id]["household_id"])
            marks = ", ".join("?" * (len(row) + 1))
            tx.run(f"REPLACE INTO person (id, {', '.join(row)}) VALUES ({marks})", (row_id, *row.values()))
            self._draft["person"][row_id] = {**_empty(REGISTER["person"]), **_said(row)}

    def _reborn(self, tx: Tx) -> None:
        """Deleted and inserted again under the same id."""
        if row_id := self._some_of_mine():
            self._delete_one(tx, row_id)
            row = self._person(None)
            marks = ", ".join("?" * (len(row) + 1))
            tx.run(f"INSERT INTO person (id, {', '.join(row)}) VALUES ({marks})", (row_id, *row.values()))
            self._draft["person"][row_id] = {**_empty(REGISTER["person"]), **_said(row)}

    def _event(self, tx: Tx) -> None:
        if row_id := self._some("person"):
            month = f"2026-0{self._random.randint(1, 9)}-05"
            self._insert(
                tx,
                "death",
                {
                    "person_id": row_id,
                    "died_on": month,
                    "sex": self._random.choice([1, 2, None]),
                    "cause": self._digits(4),
                },
            )
            self._insert(tx, "birth", {"born_on": month, "sex": self._random.choice([1, 2])})
            self._insert(
                tx,
                "migration",
                {"person_id": row_id, "direction": self._random.choice(["arrival", "departure"]), "moved_on": month},
            )
            if self._random.random() < 0.5 and (death := self._some("death")):
                self._update(tx, "death", death, {"cause": self._digits(5)})

    def _stamp(self, tx: Tx) -> None:
        self.stamps += 1
        stamp = f"s{self.number}.{self.stamps}"
        tx.run(
            "UPDATE household SET collaborator = ? WHERE collaborator IS NOT NULL AND unit_id = ?",
            (stamp, self.unit_id),
        )
        for row in self._draft["household"].values():
            if row["collaborator"] is not None:
                row["collaborator"] = stamp

    def _busy(self, tx: Tx) -> None:
        for _ in range(self._random.randint(2, 5)):
            self._random.choice(
                [self._new_household, self._edit_person, self._edit_many, self._stamp, self._delete_person]
            )(tx)

    def _savepoint(self, tx: Tx) -> None:
        self._new_household(tx)
        kept = copy.deepcopy(self._draft)
        tx.run("SAVEPOINT clerk")
        self._new_household(tx)
        self._edit_many(tx)
        tx.run("ROLLBACK TO SAVEPOINT clerk")
        self._draft = kept

    def _give_up(self, tx: Tx) -> None:
        self._busy(tx)
        raise Undone

    # --- rows -----------------------------------------------------------------------------------------------------

    def _insert(self, tx: Tx, table: str, values: Row) -> str:
        row_id, row = self._mint(), {"unit_id": self.unit_id, **values}
        tx.run(
            f"INSERT INTO {table} (id, {', '.join(row)}) VALUES ({', '.join('?' * (len(row) + 1))})",
            (row_id, *row.values()),
        )
        self._draft[table][row_id] = {**_empty(REGISTER[table]), **_said(row)}
        return row_id

    def _update(self, tx: Tx, table: str, row_id: str, values: Row) -> None:
        tx.run(
            f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in values)} WHERE id = ?", (*values.values(), row_id)
        )
        self._draft[table][row_id].update(values)

    def _delete_one(self, tx: Tx, row_id: str) -> None:
        tx.run("DELETE FROM person WHERE id = ?", (row_id,))

    def _some(self, table: str) -> str | None:
        ids = list(self._draft[table])
        return self._random.choice(ids) if ids else None

    def _some_of_mine(self) -> str | None:
        """A person whose id was minted here: nobody else's is inserted anew."""
        ids = [row_id for row_id in self._draft["person"] if row_id.endswith(self.at.keys.tag)]
        return self._random.choice(ids) if ids else None

    def _mint(self) -> str:
        """Ids in the order of the seed, with this node's tag: a replayed seed writes the same rows."""
        self._minted += 1
        return f"019a{self.number:04x}-{self._minted:04x}-7000-8000-0000{self.at.keys.tag}"

    def _household(self, number: str, stamp: str | None) -> Row:
        return {
            "unit_id": self.unit_id,
            "number": number,
            "kind": "family",
            "hamlet": f"Ấp {self._digits(1)}",
            "collaborator": stamp,
        }

    def _person(self, household: str | None) -> Row:
        return {
            "unit_id": self.unit_id,
            "household_id": household,
            "full_name": f"Trần Văn {self._digits(4)}",
            "sex": self._random.choice([1, 2]),
            "birth_date": f"{self._random.randint(1940, 1999)}-0{self._random.randint(1, 9)}-15",
            "birth_precision": "d",
            "ethnic": self._random.choice(["01", "02", "05"]),
            "residence": "usual",
            "phone": self._digits(9),
        }

    def _digits(self, count: int) -> str:
        return "".join(self._random.choices("0123456789", k=count))


def _said(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "unit_id"}


def _empty(table: Table) -> Row:
    return {column.name: None for column in table.columns}
