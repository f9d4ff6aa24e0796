"""What each stage that commits needs to be reached: a scenario lets the process in which it occurs kill itself there.

Enters: a province and a commune at rest, a failpoint (`stage:moment`). Leaves: the pair after the death and the start
anew, checked for what only this scenario can tell; the check that is the same for all comes after it.
Must hold: the process dies at that very commit, else the scenario fails.
"""

from __future__ import annotations

import http.client
import shutil
import uuid
from collections.abc import Callable

from conflict.case import CaseKind, case_id
from syncd import control, enrolment
from syncd.config import Config
from syncd.failpoint import FAILPOINT
from syncd.limits import GROUP_ROWS_MAX
from syncd.messages import Push, encode
from syncd.net import http as routes
from syncd.node_files import open_node
from syncd.security import tls
from syncd.security.names import tls_name
from syncd.security.tls import TlsFiles
from tests.acceptance import recount
from tests.acceptance.pairs import KILLED, SECOND, SPARE, Pair
from tests.acceptance.processes import Station, command
from tests.acceptance.writers import open_plain
from tests.waiting import until


def own_exchange(pair: Pair, point: str) -> None:
    pair.type(3)
    pair.commune_dies(point)


def large_group(pair: Pair, point: str) -> None:
    pair.type(GROUP_ROWS_MAX + 100)
    pair.commune_dies(point)


def discard(pair: Pair, point: str) -> None:
    pair.type(GROUP_ROWS_MAX + 100)
    died = pair.commune.command("sync", "--once", **{FAILPOINT: "sequence-piece:after-commit"})
    assert died.returncode == KILLED
    pair.commune_dies(point)


def push_to_province(pair: Pair, point: str) -> None:
    pair.type(3)
    pair.province_dies(point, pair.sync)


def news_for_commune(pair: Pair, point: str) -> None:
    pair.province.start()
    pair.sync()  # a root with children seals nothing before one of them was heard
    pair.at(
        pair.province,
        f"INSERT INTO unit (parent_id, level, code, name) VALUES ('{pair.province.unit_id}', 'commune', '9', 'Xã 9')",
    )
    until(lambda: pair.province.one("SELECT count(*) FROM syncd_journal") == 0, "the province has written its news")
    pair.commune_dies(point)


def admission(pair: Pair, point: str) -> None:
    directory = pair.tree.folder / SPARE
    pair.province_dies(point, lambda: enrolment.join(directory, pair.spare_token, Config()))
    made = enrolment.join(directory, pair.spare_token, Config())
    assert pair.province.one(f"SELECT count(*) FROM node WHERE node_id = '{made.node_id}'") == 1


def grant(pair: Pair, point: str) -> None:
    """Words of the province about the commune's unit: the first ones make a stream whose key the commune needs."""
    pair.type(1)
    pair.province.start()
    pair.sync()
    pair.province.stop()
    pair.at(pair.province, _check_of(pair))
    pair.province_dies(point, pair.sync)


def _check_of(pair: Pair) -> str:
    return (
        "INSERT INTO person_check (unit_id, person_id, citizen_id, checked_at, checked_by) VALUES "
        f"('{pair.commune.unit_id}', '{uuid.uuid4()}', '042000000001', '2026-11-01T00:00:00Z', 'A')"
    )


def half_an_upload(pair: Pair, point: str) -> None:
    pair.type(3)
    pair.province_dies(point, lambda: break_off(pair))


def break_off(pair: Pair) -> None:
    """Push the first half of an envelope that the province lacks, and hang up."""
    opened = open_node(pair.commune.directory)
    opened.node.write()
    with opened.store.read() as tx:
        envelope = bytes(tx.value("SELECT envelope FROM syncd_log ORDER BY size DESC LIMIT 1"))
    opened.close()
    body = routes.prefixed(encode(Push(0)), len(envelope).to_bytes(4, "big") + envelope)
    host, _, port = pair.province.address.removeprefix("https://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    connection.connect()
    context = tls.client_context(TlsFiles.in_directory(pair.commune.directory))
    connection.sock = context.wrap_socket(connection.sock, server_hostname=tls_name(pair.province.node_id))
    connection.putrequest("POST", routes.PUSH)
    connection.putheader("content-length", str(len(body)))
    connection.endheaders(body[:-20])
    connection.sock.close()
    connection.close()


def refusal(pair: Pair, point: str) -> None:
    """The province believes for a while that the unit is kept in another term."""
    keeper = f"UPDATE syncd_keeper SET term = term {{}} 1 WHERE unit_id = '{pair.commune.unit_id}'"
    pair.behind(keeper.format("+"))
    pair.type(2)
    pair.commune_dies(point)
    assert pair.commune.one("SELECT count(*) FROM syncd_stream WHERE state = 'refused'") == 1
    pair.province.stop()
    pair.behind(keeper.format("-"))


def stopped_stream(pair: Pair, point: str) -> None:
    """A row that the next group changes is missing at the province: the stream stops, and goes on once it is back."""
    pair.type(1)
    pair.province.start()
    pair.finish()
    pair.province.stop()
    columns = "id, unit_id, number, kind"
    row = pair.province.rows(f"SELECT {columns} FROM household")[0]
    pair.behind("DELETE FROM household")
    pair.at(pair.commune, "UPDATE household SET hamlet = 'Thôn Đông'")
    pair.province_dies(point, pair.sync)
    until(
        lambda: pair.province.one("SELECT count(*) FROM syncd_stream WHERE state = 'stopped'") == 1,
        "the stream is stopped",
    )
    pair.province.stop()
    pair.behind(f"INSERT INTO household ({columns}) VALUES ({', '.join(repr(value) for value in row)})")


def restored(pair: Pair, point: str) -> None:
    """An older copy of the commune's disk is put back and typed into, once the log has gone on."""
    pair.province.start()
    pair.type(1)
    pair.finish()
    _put_back(pair, lambda: pair.type(1))
    pair.type(1)
    pair.commune_dies(point)


def restored_early(pair: Pair, point: str) -> None:
    """The older copy has never known the stream of the commune's own register."""
    pair.province.start()
    _put_back(pair, lambda: pair.type(1))
    pair.commune_dies(point)


def _put_back(pair: Pair, work: Callable[[], None]) -> None:
    copy = pair.tree.folder / "copy"
    shutil.copytree(pair.commune.directory, copy)
    work()
    pair.finish()
    shutil.rmtree(pair.commune.directory)
    shutil.copytree(copy, pair.commune.directory)


def fork_ends(pair: Pair, point: str) -> None:
    """The province has met another past of a stream once; its keeper has come back to the one that is kept there."""
    pair.type(1)
    pair.province.start()
    pair.finish()
    pair.province.stop()
    pair.behind(
        "INSERT INTO syncd_case (case_id, kind, stream_id, detail, opened_at) SELECT stream_id, 'fork', stream_id,"
        " '{}', '2026-11-01T00:00:00Z' FROM syncd_stream WHERE kind = 1"
    )
    pair.province_dies(point, pair.sync)


def decision(pair: Pair, point: str) -> None:
    pair.type(1)
    pair.province.start()
    pair.finish()
    row = str(pair.province.one("SELECT id FROM household"))
    done = pair.province.command("propose", "update", "household", row, "--set", "hamlet=Thôn Tây", "--reason", "thử")
    assert done.returncode == 0, done.stderr
    until(lambda: pair.province.one("SELECT count(*) FROM syncd_journal") == 0, "the proposal is in the log")
    pair.commune_dies(point)
    assert pair.commune.rows("SELECT outcome FROM verdict") == [("accepted",)]
    assert pair.commune.one("SELECT hamlet FROM household") == "Thôn Tây"


def proposal(pair: Pair, point: str) -> None:
    pair.type(1)
    pair.province.start()
    pair.finish()
    row = str(pair.province.one("SELECT id FROM household"))
    pair.dies(
        pair.province, point, "propose", "update", "household", row, "--set", "hamlet=Thôn Tây", "--reason", "thử"
    )


def _one_number_twice(pair: Pair) -> None:
    pair.type(1)
    pair.at(pair.commune, "INSERT INTO household (number, kind) VALUES ('1', 'family')")
    pair.names.append("1")


OPEN = "SELECT kind FROM syncd_case WHERE closed_at IS NULL"


def disagreement(pair: Pair, point: str) -> None:
    _one_number_twice(pair)
    pair.commune_dies(point)
    assert pair.commune.rows(OPEN) == [("duplicate_household_no",)]


def resolution(pair: Pair, point: str) -> None:
    _one_number_twice(pair)
    pair.province.start()
    pair.sync()
    case = str(pair.commune.one("SELECT case_id FROM syncd_case"))
    pair.dies(pair.commune, point, "conflicts", "resolve", case, "--verdict", "keep-ours")
    assert pair.commune.one("SELECT count(DISTINCT verdict) FROM resolution") == 1


def taken_back(pair: Pair, point: str) -> None:
    """Whole or not at all: one row per side says so, or none."""
    _one_number_twice(pair)
    pair.province.start()
    pair.sync()
    case = str(pair.commune.one("SELECT case_id FROM syncd_case"))
    assert pair.commune.command("conflicts", "resolve", case, "--verdict", "keep-ours").returncode == 0
    done = pair.commune.command("conflicts", "undo", case, **{FAILPOINT: point})
    assert done.returncode == KILLED, done.stderr
    undone = pair.commune.one("SELECT count(*) FROM resolution WHERE verdict = 'undo'")
    assert undone == (2 if point.endswith("after-commit") else 0)


def clock_is_right_again(pair: Pair, point: str) -> None:
    """An earlier process met this station's clock far off; the next hello finds it right."""
    case = case_id(CaseKind.CLOCK_FAR_OFF, pair.commune.node_id)
    connection = open_plain(pair.commune.directory)
    connection.execute(
        "INSERT INTO syncd_case (case_id, kind, detail, opened_at) VALUES (?, 'clock_far_off', '{}', '2026-11-01')",
        (case,),
    )
    connection.commit()
    connection.close()
    pair.commune_dies(point)
    assert pair.commune.rows(OPEN) == []


def init(pair: Pair, point: str) -> None:
    directory = pair.tree.folder / "other"
    arguments = ("init", "--unit", "43", "--unit-name", "Tỉnh khác", "--dir", str(directory))
    assert command(*arguments, **{FAILPOINT: point}).returncode == KILLED
    again = command(*arguments)
    assert again.returncode == 0, again.stderr
    with recount.opened(directory) as query:
        assert query("SELECT count(*) FROM unit") + query("SELECT count(*) FROM node") == [(1,), (1,)]
        assert query("SELECT count(*) FROM syncd_keeper WHERE mine = 1") == [(1,)]


def token(pair: Pair, point: str) -> None:
    pair.dies(pair.province, point, "token", "--unit", SECOND)


def import_units(pair: Pair, point: str) -> None:
    pair.dies(pair.province, point, "units", "import", "--demo")
    assert pair.province.rows("SELECT code FROM unit GROUP BY code HAVING count(*) > 1") == []


def generate(pair: Pair, point: str) -> None:
    done = pair.commune.command("generate", "--persons", "40", **{FAILPOINT: point})
    assert done.returncode == KILLED, done.stderr
    pair.names += [number for (number,) in pair.commune.rows("SELECT number FROM household")]


def _daemon_dies(pair: Pair, point: str, **settings: str) -> None:
    """The commune's daemon dies at its start; started again with the same settings it stays."""
    pair.province.start()
    pair.commune.spawn({FAILPOINT: point, **settings})
    assert pair.commune.died() == KILLED
    pair.commune.start(**settings)
    assert pair.commune.stop() == 0


def start_of_the_province(pair: Pair, point: str) -> None:
    pair.at(pair.province, "UPDATE unit SET name = 'Xã đổi tên' WHERE code = '42503'")
    pair.province_dies(point, lambda: None)


def facts(pair: Pair, point: str) -> None:
    _daemon_dies(pair, point, SYNCD_NAME="Trạm mới")
    assert pair.commune.one("SELECT value FROM syncd_meta WHERE key = 'name'") == "Trạm mới"


def triggers(pair: Pair, point: str) -> None:
    connection = open_plain(pair.commune.directory)
    connection.execute("DROP TRIGGER syncd_household_insert")
    connection.close()
    _daemon_dies(pair, point)
    assert pair.commune.one("SELECT count(*) FROM sqlite_master WHERE name = 'syncd_household_insert'") == 1
    assert pair.commune.one("SELECT count(*) FROM syncd_case WHERE closed_at IS NULL") == 1


def peers(pair: Pair, point: str) -> None:
    """Times of exchanges are written at an orderly end."""
    pair.province.start()
    pair.commune.start(**{FAILPOINT: point})
    until(lambda: spoken(pair.commune), "the commune has spoken with its parent")
    assert pair.commune.stop() == KILLED
    pair.commune.start()
    assert pair.commune.stop() == 0
    assert pair.commune.one("SELECT last_success_at FROM syncd_peer") is not None


def spoken(station: Station) -> bool:
    """Whether the running daemon has had a successful exchange with its parent."""
    picture = control.ask(station.directory) or {"peers": {}}
    return any(peer["last_success_at"] for peer in picture["peers"].values())
