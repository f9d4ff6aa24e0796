"""Programs that keep committing at a station while everything around them dies: plain SQL through the driver, no syncd.

Enters: a node's directory, a seed. Leaves: what was acknowledged, table by table, as the model to compare with.
Must hold: the model is changed only after COMMIT has returned; a transaction rolled back leaves nothing in it.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlite

PAUSE_S = (0.01, 0.06)
BUSY_MS = 20_000
PERSON = (
    "id", "household_id", "line_no", "full_name", "sex", "birth_date", "birth_precision", "ethnic", "education",
    "residence", "phone",
)  # fmt: skip
DEATH = ("id", "person_id", "died_on", "sex", "cause")
HOUSEHOLD = ("id", "number", "kind", "hamlet")
TABLES = {"household": HOUSEHOLD, "person": PERSON, "death": DEATH}
Row = dict[str, Any]


class Writer(threading.Thread):
    """One clerk's program. `rows`: table → id → values, as acknowledged. `error`: why it ended early."""

    def __init__(self, directory: Path, seed: int) -> None:
        super().__init__(name=f"writer {directory.name}", daemon=True)
        self.rows: dict[str, dict[str, Row]] = {table: {} for table in TABLES}
        self.commits: Counter[str] = Counter()
        self.error: BaseException | None = None
        self._directory = directory
        self._random = random.Random(seed)
        self._end = threading.Event()
        self._number = 0

    def run(self) -> None:
        connection = open_plain(self._directory)
        try:
            while not self._end.is_set():
                self._commit(connection)
                self._end.wait(self._random.uniform(*PAUSE_S))
        except BaseException as error:  # told to the test by `finish`
            self.error = error
        finally:
            connection.close()

    def finish(self) -> None:
        """No more commits; raises what went wrong."""
        self._end.set()
        self.join(BUSY_MS / 1000)
        if self.error is not None:
            raise self.error

    def _commit(self, connection: Any) -> None:
        """One transaction of one to several rows, or one that is rolled back."""
        people = list(self.rows["person"])
        kind = (
            "family"
            if len(people) < 5
            else self._random.choice(["family", "edit", "edit", "edit", "move", "delete", "death", "rollback"])
        )
        before = {table: dict(rows) for table, rows in self.rows.items()}
        connection.execute("BEGIN IMMEDIATE")
        try:
            getattr(self, f"_type_{kind}")(connection)
            connection.execute("ROLLBACK" if kind == "rollback" else "COMMIT")
        except BaseException:
            self.rows = before
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if kind == "rollback":
            self.rows = before
        self.commits[kind] += 1

    def _type_family(self, connection: Any) -> None:
        self._number += 1
        household = self._insert(
            connection, "household", number=str(self._number), kind="family", hamlet=f"Thôn {self._number % 9}"
        )
        for line in range(1, self._random.randint(2, 5)):
            self._insert(
                connection,
                "person",
                household_id=household,
                line_no=line,
                full_name=f"Nguyễn Văn {self._number}.{line}",
                sex=self._random.randint(1, 2),
                birth_date=f"{self._random.randint(1930, 2020)}-0{self._random.randint(1, 9)}-11",
                birth_precision="d",
                ethnic=f"0{self._random.randint(1, 5)}",
                education=None,
                residence="usual",
                phone=None,
            )

    _type_rollback = _type_family

    def _type_edit(self, connection: Any) -> None:
        for person in self._some():
            self._update(
                connection,
                person,
                phone=f"09{self._random.randrange(10**8):08d}",
                education=f"0{self._random.randint(1, 9)}",
            )

    def _type_move(self, connection: Any) -> None:
        """Counted columns change: aggregates must follow."""
        for person in self._some():
            self._update(
                connection,
                person,
                residence=self._random.choice(["usual", "absent", "temporary"]),
                ethnic=f"0{self._random.randint(1, 5)}",
            )

    def _type_delete(self, connection: Any) -> None:
        person = self._some()[0]
        connection.execute("DELETE FROM person WHERE id = ?", (person,))
        del self.rows["person"][person]

    def _type_death(self, connection: Any) -> None:
        person = self._some()[0]
        self._update(connection, person, residence="deceased")
        self._insert(
            connection,
            "death",
            person_id=person,
            died_on="2026-10-01",
            sex=self.rows["person"][person]["sex"],
            cause="bệnh",
        )

    def _some(self) -> list[str]:
        people = list(self.rows["person"])
        return self._random.sample(people, min(len(people), self._random.randint(1, 3)))

    def _insert(self, connection: Any, table: str, **values: Any) -> str:
        names = ", ".join(values)
        statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(values))}) RETURNING id"
        row_id = str(connection.execute(statement, tuple(values.values())).fetchall()[0][0])
        self.rows[table][row_id] = {"id": row_id, **values}
        return row_id

    def _update(self, connection: Any, person: str, **values: Any) -> None:
        sets = ", ".join(f"{name} = ?" for name in values)
        connection.execute(f"UPDATE person SET {sets} WHERE id = ?", (*values.values(), person))
        self.rows["person"][person] = {**self.rows["person"][person], **values}


def open_plain(directory: Path) -> Any:
    """What any program does to open a station's database: the driver and the key file."""
    connection = sqlite.connect(str(directory / "syncd.db"), isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA key = \"x'{(directory / 'database.key').read_bytes().hex()}'\"")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
