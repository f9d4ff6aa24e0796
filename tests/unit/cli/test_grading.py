"""What `status --check` says of every figure: graded by thresholds, the same on the screen, never by one try or by a
clock that is wrong."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from syncd import control, enrolment, limits
from syncd.cli import program
from syncd.cli.grading import is_late
from syncd.cli.status import with_live
from syncd.cli.status_text import by_need, screen, verdict
from syncd.clock import instant_of
from syncd.config import KEYS, OF_COMMANDS, OF_RESTART, Config, load_config, write_config
from syncd.errors import DatabaseLocked, ParentUnreachable, StoreError, WrongPeer
from syncd.messages import Silent as SilentTold
from syncd.node.bounds import NAMES, PREFIX, Bounds
from syncd.node.machine import Certificate, Machine, machine, require_begun
from syncd.security import authority
from syncd.security.token import Token
from syncd.security.validity import GENERAL_TIME, SEQUENCE, UTC_TIME, validities
from syncd.status import Checks, Neighbour, OwnChanges, Silent, Status
from syncd.vitals import Vitals
from tests.contained import Contained

NOW_MS = 1_800_000_000_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
SOMEBODY = "Nguyễn Thị Bưởi"
DAY_S = 86_400.0
B = Bounds()
ME, PARENT, CHILD = (f"0000000{place}-0000-4000-8000-00000000000{place}" for place in (1, 2, 3))


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")


def at(before_ms: float) -> str:
    return instant_of(int(NOW_MS - before_ms))


def peer(role: str = "parent", **facts: Any) -> Neighbour:
    node_id, name = (PARENT, "Huyện Bình") if role == "parent" else (CHILD, "Xã An")
    known: dict[str, Any] = {
        "node_id": node_id, "role": role, "name": name,
        "unit": None, "address": None, "last_success_at": at(1_000), "last_attempt_at": at(1_000), "last_error": None,
        "clock_offset_ms": 0, "waiting_rows": 0, "open_cases": 0,
    }  # fmt: skip
    return Neighbour(**known | facts)


def station(**facts: Any) -> Status:
    """A commune with which everything is well."""
    known: dict[str, Any] = {
        "node_id": ME, "name": "Xã An", "unit_code": "18133", "unit_name": "Xã An", "depth": 2, "is_root": False,
        "dialect": "sqlite", "schema_revision": 1, "database_revision": "0001", "parent": peer(), "children": (),
        "own": OwnChanges(unsealed=0, waiting=0, at_parent=0, at_custodian=5, backed_up=5, confirmed_at=None),
        "unapplied_envelopes": 0, "stopped": (), "unproven": (), "reviews": 0, "cases": 0, "undecided": 0,
        "unmatched_moves": 0, "disagreements": (),
        "checks": Checks(equal=1, different=0, last_at=at(HOUR_MS), differences=()), "kept_units": 1,
        "kept_codes": ("18133",), "last_backup_at": None, "rejoining": 0, "root_branches": 0, "wishes": 0,
        "hand_overs": (), "late_writes": 0, "created_at": at(300 * DAY_MS), "newest_at": at(1_000),
        "province_backup_at": at(DAY_MS),
        "machine": Machine(free_bytes=100 * 1024 * limits.MIB,
                           certificates=(Certificate(file="tls.crt", begins_s=0.0, ends_s=NOW_MS / 1000 + 1e8),)),
    }  # fmt: skip
    return Status(**known | facts)


def live(**facts: Any) -> dict[str, Any]:
    return {"peers": {}, "workers": {}, "disk_full_since": None, "is_heard": True, **facts}


def failing(worker: str, for_s: float, is_temporary: bool = True) -> dict[str, Any]:
    return live(workers={worker: {"error": "it fails", "failing_s": for_s, "is_temporary": is_temporary}})


def own(**facts: Any) -> OwnChanges:
    return replace(station().own, **facts)


def root(*offsets_ms: int | None) -> Status:
    children = tuple(peer("child", node_id=f"c{place}", clock_offset_ms=each) for place, each in enumerate(offsets_ms))
    return station(is_root=True, parent=None, children=children)


def certificate(begins_s: float | None, ends_s: float | None) -> Status:
    made = Certificate(file="tls.crt", begins_s=begins_s, ends_s=ends_s)
    return station(machine=Machine(certificates=(made,)))


def disk(free_bytes: int) -> Status:
    return station(machine=Machine(free_bytes=free_bytes))


NOW_S = NOW_MS / 1000
DISK = B.disk_mib * limits.MIB
RUNS, STOPPED = live(), None
# name → (status, daemon, code, part of what is said)
CASES: dict[str, tuple[Status, dict[str, Any] | None, int, str]] = {
    "all is well": (station(), RUNS, 0, ""),
    "no daemon": (station(), STOPPED, 1, "the daemon is stopped"),
    "a daemon that hangs": (station(is_silent=True), STOPPED, 2, "does not answer"),
    "a thread that hangs": (station(), live(workers={"applier": {"is_stuck": True, "busy_s": 900.0, "doing": "x"}}),
                            2, "applier has been at one thing for 15 min"),
    "clock ahead of the parent": (station(parent=peer(clock_offset_ms=400_000)), RUNS, 1, "6 min ahead of the parent"),
    "clock behind the parent": (station(parent=peer(clock_offset_ms=-400_000)), RUNS, 1, "6 min behind the parent"),
    "clock a year ahead": (station(parent=peer(clock_offset_ms=365 * DAY_MS)), RUNS, 2, "365 d ahead"),
    "clock a year behind": (station(parent=peer(clock_offset_ms=-365 * DAY_MS)), RUNS, 2, "365 d behind"),
    "clock behind its own records": (station(newest_at=at(-HOUR_MS)), RUNS, 2, "1 h behind what it has recorded"),
    "success in the future, without a daemon": (
        station(parent=peer(last_success_at=at(-HOUR_MS)), newest_at=at(-HOUR_MS)), STOPPED, 2, "behind"),
    "a root whose children agree": (root(-7_200_000, -7_100_000, 0), RUNS, 1, "1 h ahead of most machines below"),
    "a root of a year ago": (root(365 * DAY_MS, 365 * DAY_MS), RUNS, 2, "behind most machines below"),
    "one child whose clock is off": (root(-7_200_000, 0, None), RUNS, 0, ""),
    "one try that failed": (station(parent=peer(last_error="x", failing_s=2.0, success_age_s=30.0)), RUNS, 0, ""),
    "a start after a long night": (
        station(parent=peer(last_success_at=at(3 * DAY_MS), last_error="x", failing_s=2.0)), RUNS, 1, "Huyện Bình"),
    "a parent away": (station(parent=peer(last_error="x", failing_s=B.parent_warning_s + 1.0, success_age_s=950.0)),
                      RUNS, 1, "Huyện Bình: 15 min"),
    "a parent away whose clock was set back": (
        station(parent=peer(last_success_at=at(-HOUR_MS), last_error="x", failing_s=1_000.0, success_age_s=1_000.0)),
        RUNS, 1, "Huyện Bình: 16 min"),
    "a parent dead": (station(parent=peer(last_error="x", failing_s=B.parent_critical_s + 1.0, success_age_s=90_000.0)),
                      RUNS, 2, "Huyện Bình: 1 d"),
    "a parent dead for days, daemon restarted": (
        station(parent=peer(last_success_at=at(3 * DAY_MS), last_error="x", failing_s=400.0)), RUNS, 2, "3 d"),
    "a parent never reached": (station(parent=peer(last_success_at=None)), RUNS, 1, "never"),
    "the puller fails and the sender does not": (station(), failing("puller", 1_000.0), 1, "it fails"),
    "the puller fails for a day": (station(), failing("puller", 90_000.0), 2, "Huyện Bình"),
    "silent without an error": (station(parent=peer(success_age_s=2_000.0)), RUNS, 1, "Huyện Bình: 33 min"),
    "a lock held for a moment": (station(), failing("writer", 3.0), 1, "it fails"),
    "a lock held for long": (station(), failing("writer", B.failing_s + 1.0), 2, "it fails"),
    "what does not go by itself": (station(), failing("applier", 0.0, False), 2, "it fails"),
    "upkeep": (station(), failing("upkeep", 9e9, False), 1, "it fails"),
    "settings not taken over": (station(), failing("settings", 9e9, False), 1, "it fails"),
    "a station by schedule": (station(exchanged_by="once"), STOPPED, 0, ""),
    "a station by schedule whose try failed": (
        station(exchanged_by="once", parent=peer(last_error="x")), STOPPED, 1, "the last try failed"),
    "a station by schedule since yesterday": (
        station(exchanged_by="once", parent=peer(last_success_at=at(25 * HOUR_MS))), STOPPED, 1, "Huyện Bình: 1 d"),
    "a station by schedule lost": (
        station(exchanged_by="once", parent=peer(last_success_at=at(80 * HOUR_MS))), STOPPED, 2, "Huyện Bình: 3 d"),
    "an old backlog": (station(own=own(waiting=3, oldest_waiting_at=at(25 * HOUR_MS))), RUNS, 1, "the oldest for 1 d"),
    "an older one": (station(own=own(at_parent=3, oldest_waiting_at=at(80 * HOUR_MS))), RUNS, 2, "3 changes are not"),
    "a fresh backlog": (station(own=own(waiting=3, oldest_waiting_at=at(HOUR_MS))), RUNS, 0, ""),
    "a long backlog": (station(own=own(waiting=B.backlog_rows + 1)), RUNS, 1, "100,001 changes"),
    "no backup for long": (station(province_backup_at=at(8 * DAY_MS)), RUNS, 1, "no backup for 8 d"),
    "no backup ever": (station(province_backup_at=None), RUNS, 1, "no backup yet"),
    "a new node": (station(province_backup_at=None, created_at=at(DAY_MS)), RUNS, 0, ""),
    "a root without a backup": (replace(root(), province_backup_at=at(40 * DAY_MS)), RUNS, 2, "run syncd backup"),
    "a mark that says nothing": (replace(station(), is_mark_unreadable=True), RUNS, 1, "positions is damaged"),
    "a certificate that ends": (certificate(0.0, NOW_S + 29 * DAY_S), RUNS, 1, "tls.crt ends on"),
    "a certificate that ended": (certificate(0.0, NOW_S - 1.0), RUNS, 2, "own certificate tls.crt ended on"),
    "a certificate of the future": (certificate(NOW_S + 9e8, NOW_S + 9e9), RUNS, 2, "own certificate tls.crt is not"),
    "a certificate that is none": (certificate(None, None), RUNS, 2, "tls.crt cannot be read"),
    "a short disk": (disk(DISK - 1), RUNS, 1, "511 MiB are free"),
    "a disk all but full": (disk(DISK // 8 - 1), RUNS, 2, "63 MiB are free"),
    "what cannot be written": (station(machine=Machine(unwritable=("/x/syncd.db",))), STOPPED, 2, "/x/syncd.db cannot"),
    "a silent child": (station(children=(peer("child", last_success_at=at(2 * DAY_MS)),)), RUNS, 1, "Xã An: 2 d"),
    "a child of the future": (station(children=(peer("child", last_success_at=at(-DAY_MS)),)), RUNS, 1, "Xã An"),
    "a child that is refused": (
        station(children=(peer("child", last_error="too large — split it", failing_s=400.0),)), RUNS, 1,
        "Xã An: too large"),
    "a child that was refused once": (
        station(children=(peer("child", last_error="too large — split it", failing_s=4.0),)), RUNS, 0, ""),
    "a replaced child": (station(children=(peer("child", last_success_at=None, retired="replaced"),)), RUNS, 0, ""),
    "one silent behind a child": (
        station(silent=(Silent(node_id="x", name="18136 Xã Nam", via="Huyện", for_s=3 * DAY_S),)), RUNS, 1,
        "1 silent further below: 18136 Xã Nam 3 d"),
    "one never heard behind a child": (
        station(silent=(Silent(node_id="x", name="18136 Xã Nam", via="Huyện", for_s=0),)), RUNS, 1,
        "1 silent further below: 18136 Xã Nam never heard"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_figure_is_graded_and_the_screen_shows_what_monitoring_is_told(case: str) -> None:
    found, daemon, code, said = CASES[case]
    given, reasons = verdict(found, daemon, NOW_MS)
    assert given == code, reasons
    assert said in "; ".join(reasons)
    assert bool(reasons) is bool(code)
    shown = " ".join(line.strip() for line in screen(found, daemon, NOW_MS).splitlines())
    if daemon is not None and code and found.parent and "Huyện Bình" not in said and found.silent == ():
        assert any(reason.partition(":")[0] in shown for reason in reasons)


@pytest.mark.parametrize("name", NAMES)
def test_each_threshold_is_a_setting_with_words_in_file_and_check(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_config(tmp_path, Config())
    assert f"# {PREFIX}{name} = {getattr(B, name)}  # " in (tmp_path / "syncd.toml").read_text()
    write_config(tmp_path, structs.replace(Config(), **{PREFIX + name: 7}))
    assert getattr(load_config(tmp_path, {}).bounds, name) == 7
    (tmp_path / "signing.key").touch()
    assert program.run(["config", "check", "--dir", str(tmp_path)]) == 0
    line = next(each for each in capsys.readouterr().out.splitlines() if f"{PREFIX}{name} " in each)
    assert len(line.split()) > 4


def test_every_setting_says_when_a_change_counts() -> None:
    assert set(OF_RESTART) | set(OF_COMMANDS) <= set(KEYS)
    assert not set(OF_RESTART) & set(OF_COMMANDS)
    assert {field.name for field in fields(Bounds)} == set(NAMES)


def test_those_who_need_help_come_first_and_many_are_cut_with_a_count() -> None:
    fine = [peer("child", node_id=f"f{n}", name=f"Xã {n:02}", waiting_rows=0) for n in range(40)]
    worse = [
        peer("child", node_id="never", name="never", last_success_at=None),
        peer("child", node_id="long", name="long", last_success_at=at(9 * DAY_MS)),
        peer("child", node_id="late", name="late", last_success_at=at(2 * DAY_MS)),
        peer("child", node_id="clock", name="clock", clock_offset_ms=DAY_MS),
        peer("child", node_id="refused", name="refused", last_error="x"),
        peer("child", node_id="cases", name="cases", open_cases=3),
        peer("child", node_id="waits", name="waits", waiting_rows=9),
    ]
    gone = peer("child", node_id="gone", name="gone", last_success_at=None, retired="replaced")
    found = station(children=(gone, *fine, *reversed(worse)))
    assert [each.name for each in by_need(found, NOW_MS)][:7] == [each.name for each in worse]
    assert by_need(found, NOW_MS)[-1].name == "gone"
    text = screen(found, live(), NOW_MS)
    assert text.count("\nXã ") == limits.STATUS_CHILDREN_MAX - len(worse)
    assert "and 18 more, 0 of them silent" in text
    assert screen(found, live(), NOW_MS, "all").count("\nXã ") == 40
    late = screen(found, live(), NOW_MS, "late")
    assert [name for name in ("never", "long", "late", "clock") if f"\n{name} " in late] == ["never", "long", "late"]
    assert screen(found, live(), NOW_MS, "xã 07").count("\nXã ") == 1
    assert "no child is like nowhere" in screen(found, live(), NOW_MS, "nowhere")
    assert is_late(found, worse[0], NOW_MS)


def test_what_is_silent_behind_a_child_is_shown_with_whom_to_ask() -> None:
    behind = tuple(
        Silent(node_id=str(n), name=f"1813{n} Xã", via="439 Huyện", for_s=n * DAY_S) for n in range(5)
    )  # fmt: skip
    text = screen(station(silent=behind), live(), NOW_MS)
    assert "silent below: 18130 Xã (below 439 Huyện), never heard" in text
    assert "and 2 more" in text


# --- what the daemon tells ------------------------------------------------------------------------------------------


def vitals() -> Vitals:
    return Vitals(lambda: NOW_MS, lambda: None)


def test_failures_in_a_row_are_timed_by_a_steady_clock_and_end_with_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("syncd.vitals.time.monotonic", lambda: now[0])
    told = vitals()
    told.peer_failed(PARENT, ParentUnreachable("x", ""))
    now[0] = 400.0
    told.peer_failed(PARENT, ParentUnreachable("x", ""))
    assert told.picture()["peers"][PARENT]["failing_s"] == 300.0
    shown = with_live(station(), told.picture())
    assert shown.parent is not None
    assert (shown.parent.failing_s, shown.parent.last_error) == (300.0, "x")
    told.peer_seen(PARENT)
    now[0] = 405.0
    seen = told.picture()["peers"][PARENT]
    assert (seen["failing_s"], seen["success_age_s"], seen["last_error"]) == (None, 5.0, None)


def test_a_thread_that_asks_again_still_fails_and_an_other_trouble_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("syncd.vitals.time.monotonic", lambda: now[0])
    told, locked, blind = vitals(), DatabaseLocked("locked", ""), StoreError("blind", "")
    told.fails("puller", locked)
    now[0] = 50.0
    told.asks("puller")
    told.fails("puller", locked)
    assert told.picture()["workers"]["puller"]["failing_s"] == 50.0
    told.fails("writer", blind)
    told.recovers("writer", locked)
    assert told.picture()["workers"]["writer"]["error"] == "blind"
    told.recovers("writer", blind)
    told.waits("puller")
    assert [each["error"] for each in told.picture()["workers"].values()] == [None, None]


def test_what_a_child_says_of_nodes_below_it_grows_older_and_never_stays_never(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr("syncd.vitals.time.monotonic", lambda: now[0])
    told = vitals()
    told.peer_seen(CHILD, silent=[("a", 100), ("b", 0)])
    now[0] = 40.0
    assert told.silent_below() == {"a": (CHILD, 130.0), "b": (CHILD, 0.0)}
    told.peer_seen(CHILD)
    assert set(told.silent_below()) == {"a", "b"}, "a push says nothing of them"
    told.peer_seen(CHILD, silent=[])
    assert told.silent_below() == {}
    assert SilentTold(bytes(16), 0).node_id == "00000000-0000-0000-0000-000000000000"


def test_a_daemon_that_takes_the_question_and_says_nothing_is_told_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CLIENT_S_MAX", 0.2)
    assert control.asked(tmp_path) == (None, False)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = {"port": silent.getsockname()[1], "password": "x"}
        (tmp_path / control.CONTROL_FILE).write_text(json.dumps(place))
        assert control.asked(tmp_path) == (None, True)
    assert control.asked(tmp_path) == (None, False), "it has ended"


def test_a_picture_that_cannot_be_drawn_is_no_silence_for_ever(tmp_path: Path, contained: Contained) -> None:
    drawn, nobody = iter([0]), dict[str, dict[str, Any]]()

    def picture() -> dict[str, Any]:
        return {"pid": 1} if next(drawn, None) is None else nobody[SOMEBODY]

    answering = control.Control(tmp_path, picture, lambda count: bytes(count), {})
    try:
        assert control.ask(tmp_path) is None
        assert control.ask(tmp_path) == {"pid": 1}
    finally:
        answering.close()
    assert [("KeyError" in bug, "Bưởi" in bug) for bug in contained.bugs] == [(True, False)]
    contained.bugs.clear()


# --- machine and files ----------------------------------------------------------------------------------------------


def test_certificates_are_read_as_the_library_that_made_them_says() -> None:
    for now_s, days in ((0, 1), (1_800_000_000, 365), (4_000_000_000, 30 * 365)):
        made = authority.create_root(ME, now_s, days)
        pem = authority._pem((made.certificate,))
        got = made.certificate
        assert validities(pem) == [(got.not_valid_before_utc.timestamp(), got.not_valid_after_utc.timestamp())]
        assert len(validities(pem * 3)) == 3


@pytest.mark.parametrize(("tag", "text", "when"), [
    (UTC_TIME, b"491231235959Z", (2049, 12, 31, 23, 59, 59)), (UTC_TIME, b"500101000000Z", (1950, 1, 1, 0, 0, 0)),
    (GENERAL_TIME, b"20500101000000Z", (2050, 1, 1, 0, 0, 0)), (UTC_TIME, b"20500101000000Z", None),
    (GENERAL_TIME, b"500101000000Z", None), (UTC_TIME, b"500101000000+", None), (UTC_TIME, b"501301000000Z", None),
    (UTC_TIME, b"50 1 1000000Z", None), (SEQUENCE, b"500101000000Z", None),
])  # fmt: skip
def test_a_certificates_times_are_read_as_the_standard_says(
    tag: int, text: bytes, when: tuple[int, ...] | None
) -> None:
    dates = bytes([tag, len(text)]) + text
    validity = bytes([SEQUENCE, 2 * len(dates)]) + 2 * dates
    content = b"\x02\x00" * 3 + validity  # serial, algorithm, issuer
    body = bytes([SEQUENCE, len(content)]) + content
    der = bytes([SEQUENCE, len(body)]) + body
    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"
    if when is None:
        with pytest.raises(ValueError, match=r"certificate|month"):
            validities(pem)
    else:
        year, month, day, hour, minute, second = when
        assert validities(pem) == [(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp(),) * 2]


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
                                  "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
                                  "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"])  # fmt: skip
def test_what_is_no_certificate_is_said_to_be_unreadable(text: str, tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_text(text)
    found = machine(tmp_path, is_sqlite=True)
    assert found.certificates == (Certificate(file="tls.crt", begins_s=None, ends_s=None),)
    assert found.free_bytes
    assert found.unwritable == ()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a root."""
    place = tmp_path_factory.mktemp("made") / "n"
    enrolment.init_root(place, enrolment.Unit(code="79", name="Tỉnh An", level="province"), Config())
    return place


DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:10]),
    "empty": lambda path: path.write_bytes(b""),
    "cut in the middle": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "no letters": lambda path: path.write_bytes(path.read_bytes()[:40] + b"!" + path.read_bytes()[41:]),
    "random": lambda path: path.write_bytes(bytes(range(256))),
    "elsewhere": lambda path: path.rename(path.with_name("elsewhere")),
}
OF_NODE = ("signing.key", "exchange.key", "tls.key", "tls.crt", "ca.crt", "issuer.key", "issuer.crt")


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_key_or_certificate_that_is_not_as_it_was_is_critical_with_the_remedy(
    damage: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine(made, is_sqlite=True).unusable == ()
    for name in (*OF_NODE, "database.key"):
        place = shutil.copytree(made, tmp_path / name)
        DAMAGE[damage](place / name)
        assert program.run(["status", "--check", "--dir", str(place)]) == 2, name
        line = capsys.readouterr().out
        assert name in line
        assert "back" in line, "what to do is said"
    for name in OF_NODE:
        found = machine(tmp_path / name, is_sqlite=True)
        assert [each for each in verdict(station(machine=found), RUNS, NOW_MS)[1] if name in each], name


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]", bytes(range(256))])
def test_a_mark_that_is_damaged_is_called_that_and_no_older_copy(
    content: bytes, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(made, tmp_path / "n")
    (place / "positions").write_bytes(content)
    for words in (["--check"], []):
        program.run(["status", *words, "--dir", str(place)])
        said = capsys.readouterr()
        assert "the file positions is damaged" in said.out
        assert "older copy, taking" not in said.out
        assert said.err == "", "the daemon's log is the daemon's"


def test_the_authoritys_key_may_lie_elsewhere_but_not_be_damaged(made: Path, tmp_path: Path) -> None:
    place = shutil.copytree(made, tmp_path / "n")
    (place / "ca.key").write_bytes(b"x")
    assert "ca.key is not a private key" in machine(place, is_sqlite=True).unusable[0]
    (place / "ca.key").unlink()
    assert machine(place, is_sqlite=True).unusable == ()


@pytest.mark.parametrize("content", [None, b"", os.urandom(8192)])
@pytest.mark.parametrize("encrypted", [True, False])
def test_a_database_that_is_missing_or_none_is_critical(
    content: bytes | None, encrypted: bool, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(made, tmp_path / "n")
    write_config(place, Config(encrypted=encrypted))
    for each in place.glob("syncd.db*"):
        each.unlink()
    if content is not None:
        (place / "syncd.db").write_bytes(content)
    assert program.run(["status", "--check", "--dir", str(place)]) == 2
    assert "restore" in capsys.readouterr().out


def test_children_asked_for_where_none_are_is_answered() -> None:
    assert "there are no children" in screen(station(), live(), NOW_MS, "zzz")
    assert "there are no children" not in screen(station(), live(), NOW_MS)


def test_a_directory_that_is_gone_is_no_traceback(tmp_path: Path) -> None:
    found = machine(tmp_path / "nowhere", is_sqlite=True)
    assert found.free_bytes is None
    assert found.unwritable == (str(tmp_path / "nowhere"),)


# --- one line and a code, whatever happens --------------------------------------------------------------------------


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_values: Any, **_named: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(("error", "code"), [
    (StoreError("damaged", "restore it"), 2), (ParentUnreachable("x\ny", ""), 3), (OSError(13, "no", "/x"), 3),
    (ValueError("Nguyễn Thị Bưởi"), 3), (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), 3), (MemoryError(), 3),
])  # fmt: skip
def test_whatever_fails_is_one_line_and_a_code(
    error: Exception, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("syncd.cli.status._read", raising(error))
    assert program.run(["status", "--check", "--dir", str(tmp_path)]) == code
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    assert said.out.startswith(f"SYNCD {'CRITICAL' if code == 2 else 'UNKNOWN'} - ")
    assert "Bưởi" not in said.out + said.err


@pytest.mark.parametrize("arguments", [
    ["--nonsense"], ["--children"], ["--dir"], ["extra"], ["--dir", "/dev/null"], ["--dir", "/nowhere/at/all"],
])  # fmt: skip
def test_a_question_that_makes_no_sense_is_unknown_to_monitoring(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run(["status", "--check", *arguments]) == 3
    assert capsys.readouterr().out.startswith("SYNCD UNKNOWN - ")


@pytest.mark.parametrize("text", ["listen = 5", "nonsense = 1", "x = ", "\x00", "check_child_h = 0"])
def test_a_bad_configuration_is_unknown_with_its_reason(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "syncd.toml").write_text(text)
    assert program.run(["status", "--check", "--dir", str(tmp_path)]) == 3
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "syncd.toml" in said


def test_a_server_that_is_down_is_critical(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "syncd.toml").write_text('database = "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"\n')
    assert program.run(["status", "--check", "--dir", str(tmp_path)]) == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "PostgreSQL does not answer" in said


def test_a_node_whose_certificates_have_not_begun_gives_no_token_and_says_it_of_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later_s = int(time.time()) + 400 * 86_400
    made = authority.create_root(ME, later_s)
    (tmp_path / "ca.crt").write_text(authority._pem((made.certificate,)))
    (tmp_path / "signing.key").touch()
    assert program.run(["token", "--unit", "18133", "--dir", str(tmp_path)]) == 78
    assert "this machine's own certificate ca.crt is not valid before" in capsys.readouterr().err
    require_begun(tmp_path, later_s + 1.0)


def test_a_station_knows_by_the_token_that_it_is_not_its_own_clock() -> None:
    made = authority.create_root(ME, 2_209_000_000)  # the year 2040
    pem = authority._pem((made.certificate,))
    token = Token(parent_urls=("https://x",), parent_id=ME, ca_fingerprint=bytes(32), secret=bytes(16),
                  expires_s=1_800_000_000, unit_code="1", unit_name="Xã")  # fmt: skip
    with pytest.raises(WrongPeer, match="made while the parent's clock was ahead — this computer's clock is not the"):
        enrolment._require_begun(pem, token)
    enrolment._require_begun(pem, replace(token, expires_s=2_209_000_000))
