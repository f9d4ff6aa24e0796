"""A clerk's program under an account of its own, in the node's group: it writes the register, has no signing key."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2 as sqlcipher

from syncd.config import Config
from syncd.enrolment import Unit, init_root
from syncd.errors import KeyFileError
from syncd.node_files import open_node

CLERK, GROUP = 65534, 54321
README = Path("README.md")


def write_and_pry(where: Path) -> str:
    """A clerk's program: one household, then whatever keys it can read, remove or replace."""
    connection = sqlcipher.connect(str(where / "syncd.db"), isolation_level=None)
    connection.execute(f"PRAGMA key = \"x'{(where / 'database.key').read_bytes().hex()}'\"")
    connection.execute("INSERT INTO household (number, kind) VALUES ('7', 'family')")
    connection.close()
    taken = []
    for name in ("signing.key", "exchange.key", "recovery.key"):
        for attempt in (Path.read_bytes, Path.unlink, lambda path: path.rename(where / "mine")):
            with contextlib.suppress(PermissionError):
                attempt(where / name)
                taken.append(name)
    return f"written, taken: {taken}"


def in_another_account(work: Callable[[Path], str], where: Path) -> str:
    """What `work` says in a process of the clerk's account. Forked: that account need not be able to start Python."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(GROUP)
            os.setuid(CLERK)
            said = work(where)
        except BaseException as error:
            said = repr(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read().decode()
    os.waitpid(child, 0)
    return said


def as_documented(directory: Path) -> None:
    """The commands of the README, on this directory."""
    block = re.search(r"```sh\n(chmod 3770.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    for line in block[1].splitlines():
        subprocess.run(line.replace("/var/lib/syncd", str(directory)).split(), check=True)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    directory = tmp_path / "xa"
    init_root(directory, Unit(code="42", name="Xã", level="commune"), Config())
    return directory


def test_a_program_in_the_nodes_group_writes_and_reads_no_signing_key(node: Path) -> None:
    is_root = os.geteuid() == 0  # without root nobody can become the other account: the modes alone are looked at
    if is_root:
        for path in (node, *node.iterdir()):
            os.chown(path, -1, GROUP)
        for above in node.parents:
            if not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o011)
    as_documented(node)
    modes = {path.name: path.stat().st_mode & 0o777 for path in node.glob("*.key")}
    assert {name for name, mode in modes.items() if mode & 0o077} == {"database.key"}
    if is_root:
        assert in_another_account(write_and_pry, node) == "written, taken: []"
    opened = open_node(node)
    with opened.store.write("daemon") as tx:  # beside whatever files the other account has left
        tx.run("INSERT INTO household (number, kind) VALUES ('8', 'family')")
        assert tx.value("SELECT count(*) FROM household") == 1 + is_root
    opened.close()


def test_what_more_than_the_group_may_read_is_refused(node: Path) -> None:
    for name, mode in (("database.key", 0o644), ("database.key", 0o660), ("signing.key", 0o640)):
        (node / name).chmod(mode)
        with pytest.raises(KeyFileError):
            open_node(node)
        (node / name).chmod(0o600)
    open_node(node).close()
