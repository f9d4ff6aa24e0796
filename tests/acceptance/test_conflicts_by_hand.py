"""From "2 conflicts" in `status` to settled and equal at every tier in four commands, each read off the one before.

Real daemons on loopback; the commands are processes of their own, as an officer starts them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.admission import TokenKind
from syncd.proposing import Wish, propose
from tests import forking
from tests.nodes import Nodes, TestNode
from tests.waiting import until

COMMANDS_MAX = 4
PERSON = (
    "INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence)"
    " VALUES ('Nguyễn Thị Bưởi', 2, '1980-02-28', 'd', '01', 'usual')"
)
TWIN = (
    "INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence, citizen_id)"
    " VALUES (?, 2, '1980-02-28', 'd', '01', 'usual', '042180000123')"
)
HOUSEHOLD = "INSERT INTO household (number, kind) VALUES ('12', 'family')"
NEXT = re.compile(r"syncd ((?:status|conflicts)[^\n→]*?)(?:   |\n|$)")
SHOWN = "SELECT count(*) FROM person WHERE full_name = 'Nguyễn Thị Bưởi A'"


class Officer:
    """Types commands at one station and counts them."""

    def __init__(self, node: TestNode, language: str) -> None:
        self.node = node
        self.language = language
        self.typed = 0

    def __call__(self, line: str) -> str:
        self.typed += 1
        environment = {**os.environ, "SYNCD_LANGUAGE": self.language, "SYNCD_DIR": str(self.node.directory)}
        done = forking.run("syncd", *shlex.split(line), env=environment, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def document(node: TestNode) -> dict[str, object]:
    """`status --json` of a node."""
    done = forking.run("syncd", "status", "--json", "--dir", str(node.directory), env=os.environ, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def waits(node: TestNode) -> tuple[object, object]:
    found = document(node)
    return found["reviews"], found["cases"]


@pytest.mark.parametrize("language", ["vi", "en"])
def test_two_conflicts_are_settled_and_equal_at_every_tier_in_four_commands(nodes: Nodes, language: str) -> None:
    root = nodes.root()
    district = nodes.joined(root, "03", TokenKind.HUB)
    district.start()
    until(lambda: district.value("SELECT 1 FROM unit WHERE code = '04'"), "the units at the district")
    commune = nodes.joined(district, "04")
    commune.start()
    until(lambda: commune.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the commune keeps its unit")
    for statement in (PERSON, HOUSEHOLD, HOUSEHOLD):
        commune.sql(statement)
    until(lambda: district.value("SELECT count(*) FROM person") == 1, "the person at the district")
    row_id = district.value("SELECT id FROM person")
    commune.sql("UPDATE person SET full_name = 'Nguyễn Thị Bưởi A'")
    wished = {"full_name": "Nguyễn Thị Bưởi B"}
    propose(
        district.opened().store,
        Wish(operation="update", table="person", row_id=row_id, unit_code=None, wished=wished, author="huyện",
             reason="theo thẻ"),
        district.opened().node.clock(),
    )  # fmt: skip
    until(lambda: waits(commune) == (1, 1), "two conflicts at the commune")
    until(lambda: waits(root) == (1, 0), "the review at the root")

    officer = Officer(commune, language)
    listed = officer(following(officer("status"), "conflicts list"))
    shown = officer(following(listed, "conflicts show"))
    officer(together(shown))
    assert officer.typed <= COMMANDS_MAX

    for node in (commune, district, root):
        until(lambda node=node: waits(node) == (0, 0), "nothing waits any more")  # type: ignore[misc]
        assert node.value(SHOWN) == 1
    outcomes = [
        node.value("SELECT outcome FROM verdict WHERE resolves IS NOT NULL") for node in (commune, district, root)
    ]
    assert outcomes == ["rejected"] * 3
    until(lambda: root.value("SELECT count(*) FROM resolution") == 2, "both sides' resolution at the root")
    assert forking.run("syncd", "verify", "--dir", str(commune.directory), env=os.environ, timeout=300).returncode == 0


def test_one_decided_at_the_upper_tier_and_one_at_the_commune_take_two_commands_each(nodes: Nodes) -> None:
    root = nodes.root()
    communes = [nodes.joined(root, code) for code in ("01", "02")]
    for commune, name in zip(communes, ("Nguyễn Thị Bưởi", "Lê Văn Ánh"), strict=True):
        commune.start()
        until(lambda at=commune: at.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "its unit")  # type: ignore[misc]
        commune.sql(TWIN, name)
    until(lambda: waits(root) == (0, 1), "one citizen id borne by two")
    communes[0].stop()  # so that the wish is based on the value of before
    communes[0].sql("UPDATE person SET full_name = 'Nguyễn Thị Bưởi A'")
    row_id = str(root.value("SELECT id FROM person WHERE full_name = 'Nguyễn Thị Bưởi'"))
    propose(
        root.opened().store,
        Wish(operation="update", table="person", row_id=row_id, unit_code=None,
             wished={"full_name": "Nguyễn Thị Bưởi B"}, author="tỉnh", reason="theo thẻ"),
        root.opened().node.clock(),
    )  # fmt: skip
    communes[0].start()
    until(lambda: waits(root) == (1, 1), "two conflicts at the root")

    typed = 0
    for node, verdict in ((root, "not-the-same"), (communes[0], "take-theirs")):
        officer = Officer(node, "vi")
        [line] = re.findall(f"syncd (conflicts resolve [-0-9a-f]+ --verdict {verdict})", officer("conflicts list"))
        assert "Không còn vụ nào chờ máy này." in officer(line)
        typed += officer.typed
    assert typed <= COMMANDS_MAX
    for node in (*communes, root):
        until(lambda node=node: waits(node) == (0, 0), "nothing waits any more")  # type: ignore[misc]
    assert root.value("SELECT count(*) FROM person WHERE full_name = 'Nguyễn Thị Bưởi B'") == 1


def following(text: str, begins: str) -> str:
    """The command that an output names next."""
    found: list[str] = [line.strip() for line in NEXT.findall(text) if line.startswith(begins)]
    assert found, text
    return found[0]


def together(text: str) -> str:
    """The command that keeps both as they are."""
    lines = [line.strip() for line in text.splitlines() if "--verdict keep-ours" in line]
    assert len(re.findall(r"[0-9a-f]{4}-[0-9a-f]{4}", lines[-1])) == 2, text
    return lines[-1].removeprefix("syncd ")
