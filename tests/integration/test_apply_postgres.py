"""Applying on PostgreSQL while the rest of a group still arrives: one transaction, whole or not at all (I3, I8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.shapes import Died, content, die_at, envelopes, own_stream, root_and_commune, state
from tests.postgres import PostgresServer
from tests.trees import TreeNode, finish

ROWS = 10


@dataclass(slots=True, kw_only=True)
class Upload:
    """A commune's large group on its way, piece by piece. `seen`: what a reader at the root saw meanwhile."""

    root: TreeNode
    commune: TreeNode
    pieces: list[bytes] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    commits: int = 0

    def arrive(self, _stream_id: str = "") -> bool:
        """The next piece is received by another transaction, as by a server's thread; False when none is left."""
        self.seen.add(self.root.value("SELECT count(*) FROM household"))
        if not self.pieces:
            return False
        self.root.desk.push(self.commune.node.node_id, [self.pieces.pop(0)])
        return True

    def write(self) -> None:
        """Sequence the commune's rows; its new register envelopes are on their way."""
        before = len(self.log())
        self.commune.node.write()
        self.pieces += self.log()[before:]

    def log(self) -> list[bytes]:
        found = self.commune.rows("SELECT stream_id FROM syncd_stream WHERE own = 1 AND kind = 1")
        return envelopes(self.commune, found[0][0]) if found else []


@pytest.fixture
def upload(tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upload]:
    dsn = postgres_server.create_database()
    builder, root, commune = root_and_commune(tmp_path, root=dsn)
    commune.sql("INSERT INTO household (number, kind) VALUES ('0', 'family')")
    builder.settle()  # the stream and its keys are known
    commune.sql("DELETE FROM household")
    builder.settle()
    monkeypatch.setattr("syncd.limits.GROUP_ROWS_MAX", 3)
    made = Upload(root=root, commune=commune)
    root.store.failpoint = _counting(made)
    yield made
    finish()
    postgres_server.drop_database(dsn)


def _counting(upload: Upload) -> Callable[[str], None]:
    def failpoint(point: str) -> None:
        upload.commits += point == "apply:after-commit"

    return failpoint


def type_households(at: TreeNode) -> None:
    with at.store.write("clerk") as tx:
        for number in range(ROWS):
            tx.run("INSERT INTO household (number, kind) VALUES (?, 'family')", (str(number),))


def test_open_group_is_applied_while_its_rest_arrives_and_is_seen_whole(upload: Upload) -> None:
    type_households(upload.commune)
    upload.write()
    assert len(upload.pieces) == 4
    upload.arrive()
    assert upload.root.node.apply_all(lambda _stream_id: upload.arrive).applied
    assert upload.seen == {0}
    assert upload.commits == 1
    assert content(upload.root, "household") == content(upload.commune, "household")


def test_group_whose_rest_does_not_come_in_time_is_taken_back_and_applied_later(upload: Upload) -> None:
    type_households(upload.commune)
    upload.write()
    late = [upload.pieces.pop(), upload.pieces.pop()][::-1]
    upload.arrive()
    assert not upload.root.node.apply_all(lambda _stream_id: upload.arrive).applied
    assert upload.root.value("SELECT count(*) FROM household") == 0
    assert state(upload.root, own_stream(upload.commune)) == ("ok", None)
    upload.pieces = late
    while upload.arrive():
        pass
    upload.root.node.apply_all()
    assert content(upload.root, "household") == content(upload.commune, "household")


def test_group_discarded_while_it_is_being_applied_leaves_nothing(upload: Upload) -> None:
    type_households(upload.commune)
    upload.commune.store.failpoint = die_at("sequence-close:before-commit")
    before = len(upload.log())
    with pytest.raises(Died):
        upload.commune.node.write()
    upload.pieces += upload.log()[before:]
    upload.commune.reopen()
    upload.write()
    assert len(upload.pieces) == 3 + 1 + 4, "three open pieces, their discard, the group again"
    while upload.arrive():
        upload.root.node.apply_all(lambda _stream_id: upload.arrive)
    assert upload.seen == {0, ROWS}
    assert content(upload.root, "household") == content(upload.commune, "household")
