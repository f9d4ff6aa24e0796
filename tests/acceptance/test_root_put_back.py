"""The province's machine is put back from a file copy that holds its mark as well: a real daemon, SIGKILL, `cp -a`.

Nothing tells that machine of its past. It makes no second branch, for it seals nothing before a child has called.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from syncd.positions import POSITIONS_FILE
from tests.acceptance import recount
from tests.acceptance.pairs import COMMUNE, SECOND, SPARE, Pair
from tests.waiting import until

NAME = "SELECT name FROM unit WHERE code = '{}'"


def renames(pair: Pair, code: str, name: str) -> None:
    pair.at(pair.province, f"UPDATE unit SET name = '{name}' WHERE code = '{code}'")


def reaches_the_commune(pair: Pair, code: str, name: str) -> None:
    def is_there() -> bool:
        pair.sync()
        return bool(pair.commune.one(NAME.format(code)) == name)

    until(is_there, f"the commune shows {name}")


def test_root_put_back_with_its_mark_makes_no_branch(pair: Pair, tmp_path: Path) -> None:
    province, copy = pair.province, tmp_path / "copy"
    province.configure(checkpoint_after_s=3600.0)  # the copy lies between a write and its checkpoint
    province.start()
    renames(pair, COMMUNE, "Hôm qua")
    reaches_the_commune(pair, COMMUNE, "Hôm qua")
    province.kill()
    shutil.copytree(province.directory, copy, symlinks=True)
    assert (copy / POSITIONS_FILE).exists()

    province.start()
    renames(pair, SPARE, "Hôm nay")
    reaches_the_commune(pair, SPARE, "Hôm nay")
    province.kill()
    shutil.rmtree(province.directory)
    shutil.copytree(copy, province.directory, symlinks=True)

    province.configure(checkpoint_after_s=0.1)
    province.start()  # nobody calls
    assert province.one(NAME.format(SPARE)) != "Hôm nay"
    renames(pair, SECOND, "Gõ thêm")
    asked = province.command("verify", "--json")
    assert json.loads(asked.stdout)["checkpoints_written"] == 0, "nor by a command beside the daemon"
    assert "nothing is sealed before a node below has been heard" in " ".join(province.command("status").stdout.split())
    assert province.one("SELECT count(*) FROM syncd_journal") > 0

    reaches_the_commune(pair, SECOND, "Gõ thêm")
    assert [province.one(NAME.format(code)) for code in (COMMUNE, SPARE)] == ["Hôm qua", "Hôm nay"]
    for station in (province, pair.commune):
        assert station.rows("SELECT kind FROM syncd_case WHERE kind = 'fork'") == []
    pair.finish()
    assert recount.differences([province.directory, pair.commune.directory]) == []
