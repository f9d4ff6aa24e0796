"""`syncd backup, restore` as an officer types them: beside a running daemon, to a new machine, for keys alone."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from syncd import backup_file, control
from syncd.cli.program import run as syncd
from syncd.cli.times import moment
from syncd.clock import instant_of
from syncd.node_files import OpenNode, open_node
from tests.nodes import Nodes
from tests.waiting import until

PERSON = (
    "INSERT INTO person (full_name, sex, birth_date, birth_precision, ethnic, residence)"
    " VALUES (?, 1, '1980-02-29', 'd', '01', 'usual')"
)


def test_by_hand_a_running_province_is_backed_up_and_a_new_machine_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    nodes = Nodes(tmp_path)
    try:
        root = nodes.root()
        assert syncd(["verify", "--dir", str(root.directory)]) == 0  # what the root is made of is in its log
        capsys.readouterr()
        stop = threading.Event()
        writer = threading.Thread(target=_write_on, args=(root.opened(), stop))
        writer.start()
        try:
            assert syncd(["backup", str(tmp_path / "stick"), "--dir", str(root.directory), "--json"]) == 0
        finally:
            stop.set()
            writer.join()
        made = json.loads(capsys.readouterr().out)
        assert Path(made["path"]).exists()
        assert made["vouched"] > 0
        assert syncd(["backup", str(tmp_path / "stick"), "--dir", str(root.directory), "--keep", "1"]) == 0
        said = capsys.readouterr().out
        assert "Backed up and verified" in said
        assert "Removed the older" in said
        assert syncd(["status", "--dir", str(root.directory)]) == 0
        assert "backup" in capsys.readouterr().out
        assert syncd(["restore", str(tmp_path / "stick"), "--to", str(root.directory)]) == 75
        assert "stop it first" in capsys.readouterr().err
        root.stop()
        shutil.move(root.directory, tmp_path / "old")
        key = tmp_path / "old" / "exchange.key"
        assert syncd(["restore", str(tmp_path / "stick"), "--to", str(root.directory), "--key", str(key)]) == 0
        said = capsys.readouterr().out
        assert "Restored node 42" in said
        (path,) = (tmp_path / "stick").glob("*.backup")
        newest = moment(instant_of(backup_file.read_head(path).made_ms))
        assert newest in said
        assert syncd(["status", "--dir", str(root.directory)]) == 0
        assert f"last backup {newest}" in capsys.readouterr().out
        for opened in root._opened:
            opened.close()
        root._opened.clear()
        root.start()
        assert root.value("SELECT count(*) FROM unit") == 5
        until(lambda: syncd(["verify", "--full", "--dir", str(root.directory)]) == 0, "what the daemon wrote is stated")
    finally:
        nodes.close()


def test_by_hand_a_restored_province_gets_what_it_lost_from_a_child_that_writes_nothing_more(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    try:
        root = nodes.root()
        commune = nodes.joined(root, "01", checkpoint_after_s=3600.0)
        commune.start()
        until(lambda: commune.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the commune keeps its unit")
        assert syncd(["backup", str(tmp_path / "stick"), "--dir", str(root.directory)]) == 0
        commune.sql("INSERT INTO household (number, kind) VALUES ('1', 'family')")
        until(lambda: root.value("SELECT count(*) FROM household") == 1, "the row is at the root")
        listen = root.address.removeprefix("https://")
        root.stop()
        for opened in root._opened:
            opened.close()
        root._opened.clear()
        shutil.move(root.directory, tmp_path / "old")
        key = str(tmp_path / "old" / "exchange.key")
        assert syncd(["restore", str(tmp_path / "stick"), "--to", str(root.directory), "--key", key]) == 0
        root.configure(listen=listen)
        root.start()
        until(lambda: root.value("SELECT count(*) FROM household") == 1, "the row is there again")
        until(lambda: (control.ask(root.directory) or {}).get("awaited") == [], "nobody is waited for")
    finally:
        nodes.close()


def _write_on(opened: OpenNode, stop: threading.Event) -> None:
    number = 0
    while not stop.is_set() and number < 200:
        with opened.store.write("clerk") as tx:
            tx.run(PERSON, (f"Người {number}",))
        number += 1


def test_by_hand_keys_alone_are_refused_at_a_root_and_make_an_empty_node_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    nodes = Nodes(tmp_path)
    try:
        root = nodes.root()
        commune = nodes.joined(root, "01")
        for each, name in ((root, "a"), (commune, "b")):
            assert syncd(["backup", str(tmp_path / name), "--dir", str(each.directory)]) == 0
        key = str(root.directory / "recovery.key")
        assert syncd(["restore", str(tmp_path / "a"), "--to", str(tmp_path / "x"), "--key", key, "--keys-only"]) == 78
        assert syncd(["restore", str(tmp_path / "b"), "--to", str(tmp_path / "y"), "--key", key, "--keys-only"]) == 0
        assert "0 rows" in capsys.readouterr().out
        again = open_node(tmp_path / "y")
        try:
            assert again.node.node_id == commune.opened().node.node_id
            assert again.parent_id == root.opened().node.node_id
            with again.store.read() as tx:
                assert tx.value("SELECT count(*) FROM syncd_log") == 0
        finally:
            again.close()
    finally:
        nodes.close()
