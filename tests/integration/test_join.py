"""Init and join over real TLS: what they make, what they refuse, what a power cut leaves."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd import enrolment
from syncd.admission import TokenKind
from syncd.cli import program
from syncd.cli.place import opened_store
from syncd.cli.program import run as syncd
from syncd.config import Config, write_config
from syncd.errors import (
    ConfigError,
    JoinRefused,
    KeyFileError,
    ParentUnreachable,
    TokenExpired,
    TokenMalformed,
    TokenUsed,
    UsageError,
    WrongPeer,
)
from syncd.node_files import open_node
from syncd.security import names, token
from syncd.security.identity import EXCHANGE_KEY_FILE
from tests.faultproxy import Fault, FaultProxy
from tests.nodes import ROOT_UNIT, Nodes, TestNode
from tests.waiting import until


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def proxied(node: TestNode, fault: Fault) -> FaultProxy:
    host, port = node.address.removeprefix("https://").split(":")
    return FaultProxy((host, int(port)), fault)


def join(nodes: Nodes, text: str, name: str = "station", **settings: Any) -> enrolment.Made:
    return enrolment.join(nodes.folder / name, text, Config(**settings))


def test_init_done_twice_changes_nothing(tmp_path: Path) -> None:
    first = enrolment.init_root(tmp_path / "root", ROOT_UNIT, Config())
    files = {
        path.name: path.read_bytes()
        for path in (tmp_path / "root").iterdir()
        if path.suffix in (".key", ".crt", ".pub")
    }
    second = enrolment.init_root(tmp_path / "root", ROOT_UNIT, Config())
    assert (second.node_id, second.unit_id, second.already) == (first.node_id, first.unit_id, True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "root").iterdir() if path.name in files} == files


def test_init_for_another_unit_is_refused(tmp_path: Path) -> None:
    enrolment.init_root(tmp_path / "root", ROOT_UNIT, Config())
    with pytest.raises(ConfigError, match="already"):
        enrolment.init_root(tmp_path / "root", enrolment.Unit(code="43", name="Khác", level="province"), Config())


@pytest.mark.parametrize("call", ["make_secret_directory", "write_config", "ensure_root", "ensure_recovery", "_create"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_init_goes_on_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, moment: str
) -> None:
    """The process ends before or after each step; the second run completes the node."""
    real = getattr(enrolment, call)

    def cut(*values: object, **named: object) -> object:
        if moment == "after":
            real(*values, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(enrolment, call, cut)
    with pytest.raises(KeyboardInterrupt):
        enrolment.init_root(tmp_path / "root", ROOT_UNIT, Config())
    monkeypatch.undo()
    made = enrolment.init_root(tmp_path / "root", ROOT_UNIT, Config())
    opened = open_node(tmp_path / "root")
    assert opened.node.node_id == made.node_id
    opened.close()


def test_init_makes_a_half_written_pair_of_keys_again(tmp_path: Path) -> None:
    directory = tmp_path / "root"
    enrolment.init_root(directory, ROOT_UNIT, Config())
    lone = tmp_path / "lone"
    lone.mkdir(mode=0o700)
    (lone / "signing.key").write_bytes((directory / "signing.key").read_bytes())
    (lone / "signing.key").chmod(0o600)
    made = enrolment.init_root(lone, ROOT_UNIT, Config())
    assert not made.already


def test_missing_key_of_a_used_node_is_not_made_again(tmp_path: Path) -> None:
    enrolment.init_root(tmp_path / "root", ROOT_UNIT, Config())
    (tmp_path / "root" / EXCHANGE_KEY_FILE).unlink()
    with pytest.raises(KeyFileError, match=EXCHANGE_KEY_FILE):
        enrolment.init_root(tmp_path / "root", ROOT_UNIT, Config())


def test_key_file_of_another_node_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        enrolment.init_root(tmp_path / name, ROOT_UNIT, Config())
    for name in ("signing.key", EXCHANGE_KEY_FILE):
        (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    with pytest.raises(KeyFileError, match=rf"the keys in {tmp_path / 'a'} are those of node"):
        open_node(tmp_path / "a")
    (tmp_path / "b" / "database.key").write_bytes((tmp_path / "a" / "database.key").read_bytes())
    with pytest.raises(KeyFileError, match="does not open"):
        open_node(tmp_path / "b")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_files_to_keep_safe_are_named_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", language)
    assert syncd(["init", "--dir", str(tmp_path / "root"), "--unit", "42", "--unit-name", "Tỉnh thử"]) == 0
    named = {word.strip("(),.") for word in capsys.readouterr().out.split() if ".key" in word}
    assert named == {"recovery.key", "ca.key"}
    assert all((tmp_path / "root" / name).exists() for name in named)


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_setting_that_is_not_the_databases_form_blames_no_key(tmp_path: Path, encrypted: bool) -> None:
    enrolment.init_root(tmp_path, ROOT_UNIT, Config(encrypted=encrypted))
    write_config(tmp_path, Config(encrypted=not encrypted))
    for opens in (open_node, lambda directory: opened_store(directory).__enter__()):
        with pytest.raises(ConfigError, match=f"but the setting is encrypted = {str(not encrypted).lower()}") as caught:
            opens(tmp_path)
        assert not isinstance(caught.value, KeyFileError)
        assert "encrypted" in caught.value.hint
    write_config(tmp_path, Config(encrypted=encrypted))
    open_node(tmp_path).close()


def test_exchange_key_of_another_node_alone_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        enrolment.init_root(tmp_path / name, ROOT_UNIT, Config())
    open_node(tmp_path / "a").close()
    (tmp_path / "a" / EXCHANGE_KEY_FILE).write_bytes((tmp_path / "b" / EXCHANGE_KEY_FILE).read_bytes())
    for refused in (open_node, lambda directory: enrolment.init_root(directory, ROOT_UNIT, Config())):
        with pytest.raises(KeyFileError, match=rf"{EXCHANGE_KEY_FILE} in .*/a is not this node's key") as caught:
            refused(tmp_path / "a")
        assert caught.value.exit_code == 78


def test_joined_node_gets_its_units_and_its_rows_reach_the_root(nodes: Nodes) -> None:
    root = nodes.root()
    commune = nodes.joined(root, "01")
    commune.start()
    until(lambda: commune.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the commune keeps its unit")
    assert commune.value("SELECT name FROM unit WHERE code = '01'") == "Xã 01"
    commune.sql("INSERT INTO household (number, kind) VALUES ('1', 'family')")
    until(lambda: root.value("SELECT 1 FROM household WHERE number = '1'"), "the row is at the root")
    until(
        lambda: commune.value("SELECT 1 FROM syncd_stream WHERE own = 1 AND kind = 1 AND custodian_seq > 0"),
        "the root's receipt is at the commune",
    )


def test_row_crosses_postgresql_and_two_hops(nodes: Nodes, postgres_dsn: str) -> None:
    root = nodes.root(postgres_dsn)
    district = nodes.joined(root, "03", TokenKind.HUB)
    district.start()
    until(lambda: district.value("SELECT 1 FROM unit WHERE code = '04'"), "units are at the district")
    commune = nodes.joined(district, "04")
    commune.start()
    until(lambda: commune.value("SELECT 1 FROM syncd_keeper WHERE mine = 1"), "the commune keeps its unit")
    commune.sql("INSERT INTO household (number, kind) VALUES ('7', 'family')")
    until(lambda: root.value("SELECT 1 FROM household WHERE number = '7'"), "the row is at the root")


def test_token_serves_one_node(nodes: Nodes) -> None:
    root = nodes.root()
    text = root.token("01")
    join(nodes, text, "first")
    with pytest.raises(TokenUsed):
        join(nodes, text, "second")


def test_a_token_for_a_unit_that_has_a_station_warns_and_names_the_way(
    nodes: Nodes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    root = nodes.root()
    root.configure(addresses=[root.address])
    arguments = ("token", "--unit", "01", "--dir", str(root.directory))
    assert program.run(arguments) == 0
    assert capsys.readouterr().err == ""
    station = nodes.joined(root, "01")
    assert program.run(arguments) == 0
    said = capsys.readouterr()
    assert f"unit 01 is kept by {root.value(NAME_OF, station.opened().node.node_id)} · " in said.err
    assert station.opened().node.node_id[28:] in said.err
    assert "syncd token --unit 01 --successor" in said.err
    assert token.decode_token(said.out.strip()).unit_code == "01"
    assert program.run([*arguments, "--successor"]) == 0
    assert capsys.readouterr().err == ""


NAME_OF = "SELECT max(name) FROM node WHERE node_id = ?"


def test_same_node_may_use_its_token_again(nodes: Nodes) -> None:
    root = nodes.root()
    text = root.token("01")
    first = join(nodes, text)
    again = join(nodes, text)
    assert (again.node_id, again.unit_id, again.already) == (first.node_id, first.unit_id, True)
    assert root.value("SELECT count(*) FROM node WHERE node_id = ?", first.node_id) == 1


def test_lost_reply_is_answered_again(nodes: Nodes) -> None:
    """The parent has enrolled the station, the station does not know: the same command completes it."""
    root = nodes.root()
    proxy = proxied(root, Fault())
    text = root.token("01", address=proxy.url)
    proxy.fault = Fault(cut_after_down=2_800)  # the handshake and the root certificate pass, the reply does not
    with pytest.raises(ParentUnreachable):
        join(nodes, text)
    assert proxy.cuts
    assert root.value("SELECT count(*) FROM syncd_token WHERE used_by IS NOT NULL") == 1
    proxy.fault = Fault()
    made = join(nodes, text)
    assert root.value("SELECT count(*) FROM node WHERE node_id = ?", made.node_id) == 1
    proxy.close()


def test_expired_token_is_refused_by_the_parents_clock(nodes: Nodes) -> None:
    root = nodes.root()
    text = root.token("01", valid_s=1)
    until(lambda: root.opened().node.clock() // 1000 >= token.decode_token(text).expires_s, "the token has expired")
    with pytest.raises(TokenExpired, match="expired"):
        join(nodes, text)
    with pytest.raises(TokenExpired, match="that token expired"):
        enrolment.join(nodes.folder / "behind", text, Config(), clock=lambda: root.opened().node.clock() - 3_600_000)


def test_mistyped_token_is_told_from_a_wrong_one(nodes: Nodes) -> None:
    root = nodes.root()
    text = root.token("01")
    with pytest.raises(TokenMalformed, match=r"mistyped|incomplete"):
        join(nodes, text[:-5])
    forged = token.encode_token(_with(token.decode_token(text), secret=os.urandom(16)))
    with pytest.raises(TokenMalformed, match="never gave out"):
        join(nodes, forged)


def test_parent_with_another_root_never_hears_the_secret(nodes: Nodes) -> None:
    root = nodes.root()
    text = token.encode_token(_with(token.decode_token(root.token("01")), ca_fingerprint=os.urandom(32)))
    with pytest.raises(WrongPeer, match="is not the one the token names"):
        join(nodes, text)
    assert root.value("SELECT count(*) FROM syncd_token WHERE used_by IS NOT NULL") == 0


def test_another_node_of_the_same_tree_is_not_the_parent(nodes: Nodes) -> None:
    """The district answers at the address, with the right root: its certificate says another node id."""
    root = nodes.root()
    district = nodes.joined(root, "03", TokenKind.HUB)
    district.start()
    text = root.token("01", address=district.address)
    with pytest.raises(WrongPeer, match="another node"):
        join(nodes, text)


def test_join_with_the_parent_down_says_so_and_works_later(nodes: Nodes) -> None:
    root = nodes.root()
    text = root.token("01")
    proxy_port = root.address
    root.stop()
    with pytest.raises(ParentUnreachable, match="does not answer") as caught:
        join(nodes, text)
    assert caught.value.exit_code == 75
    root.configure(listen=proxy_port.removeprefix("https://"))
    root.start()
    assert join(nodes, text).unit_code == "01"


def test_station_with_a_clock_far_ahead_is_told_so(nodes: Nodes) -> None:
    root = nodes.root()
    text = root.token("01")
    with pytest.raises(TokenExpired, match="by this computer's clock"):
        enrolment.join(nodes.folder / "ahead", text, Config(), clock=lambda: root.opened().node.clock() + 10**9)


def test_unit_kept_by_another_node_is_refused(nodes: Nodes) -> None:
    root = nodes.root()
    first, second = root.token("01"), root.token("01")
    join(nodes, first, "first")
    with pytest.raises(JoinRefused, match="hand-over"):
        join(nodes, second, "second")
    assert root.value("SELECT count(*) FROM syncd_token WHERE used_by IS NOT NULL") == 1, (
        "the second token is still unused"
    )


def test_leaf_token_makes_no_hub(nodes: Nodes) -> None:
    root = nodes.root()
    with pytest.raises(JoinRefused, match="without children"):
        join(nodes, root.token("03"), listen="127.0.0.1:0")


def test_second_token_renews_the_certificate_of_the_same_node(nodes: Nodes) -> None:
    root = nodes.root()
    first = join(nodes, root.token("01"))
    before = (nodes.folder / "station" / names.TLS_CHAIN_FILE).read_bytes()
    again = join(nodes, root.token("01"))
    assert again.node_id == first.node_id
    assert (nodes.folder / "station" / names.TLS_CHAIN_FILE).read_bytes() != before
    assert root.value("SELECT count(*) FROM node WHERE node_id = ?", first.node_id) == 1


def test_token_for_a_code_that_two_valid_units_have_lists_them(nodes: Nodes) -> None:
    root = nodes.root()
    top = root.value("SELECT value FROM syncd_meta WHERE key = 'unit_id'")
    root.sql("INSERT INTO unit (parent_id, level, code, name) VALUES (?, 'commune', '01', 'Xã 01 bis')", top)
    with pytest.raises(UsageError, match="Xã 01 bis"):
        root.token("01")
    root.sql("UPDATE unit SET valid_to = '2020-01-01' WHERE name = 'Xã 01 bis'")
    assert token.decode_token(root.token("01")).unit_name == "Xã 01", "the unit valid today is preferred"
    with pytest.raises(UsageError, match="no unit"):
        root.token("99")


@pytest.mark.parametrize("call", ["write_config", "_create"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_join_goes_on_after_a_power_cut(nodes: Nodes, monkeypatch: pytest.MonkeyPatch, call: str, moment: str) -> None:
    root = nodes.root()
    text = root.token("01")
    real = getattr(enrolment, call)

    def cut(*values: object, **named: object) -> object:
        if moment == "after":
            real(*values, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(enrolment, call, cut)
    with pytest.raises(KeyboardInterrupt):
        join(nodes, text)
    monkeypatch.undo()
    made = join(nodes, text)
    opened = open_node(nodes.folder / "station")
    assert opened.node.node_id == made.node_id
    opened.close()


def _with(found: token.Token, **changed: Any) -> token.Token:
    return dataclasses.replace(found, **changed)
