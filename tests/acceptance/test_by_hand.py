"""The README's commands, run as they stand there: real processes on loopback, one shell.

The blocks marked `by-hand` are taken in order. Only ports are replaced, and a command that a person would repeat ("as
soon as …") is repeated until it succeeds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.cli.place import opened_store
from syncd.demo.line import free_port
from tests.waiting import until

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```(sh|python) by-hand\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL_S_MAX = 600

# A daemon that a person has just started needs a moment, and so do the units on their way down.
PRELUDE = """
set -euo pipefail
trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT
again() {
  for _ in $(seq 60); do
    if "$@" > "$OUT/out" 2> "$OUT/err" < "$OUT/in"; then cat "$OUT/out"; return 0; fi
    sleep 0.25
  done
  cat "$OUT/err" >&2; return 1
}
syncd() {
  case "$1" in
    run) exec "$PYTHON" -m syncd "$@" ;;
    token | join | verify | handover)
      if [ -t 0 ]; then : > "$OUT/in"; else cat > "$OUT/in"; fi
      again "$PYTHON" -m syncd "$@" ;;
    *) "$PYTHON" -m syncd "$@" ;;
  esac
}
arrived() { "$PYTHON" -m syncd status --dir xa --json | "$PYTHON" -c '
import json, sys
own = json.load(sys.stdin)["own"]
sys.exit(bool(own["waiting"] or own["at_parent"]))'; }
settled() {
  for _ in $(seq 120); do if arrived; then return 0; fi; sleep 0.25; done
  echo "not at the province" >&2; return 1
}
python3() { "$PYTHON" "$@"; }
"""


def script(folder: Path) -> str:
    """All blocks as one shell script; before each that looks at upper tiers, what was written has to be there."""
    parts = [PRELUDE]
    for kind, body in BLOCK.findall(README.read_text(encoding="utf-8")):
        if kind == "python":
            (folder / "program.py").write_text(body, encoding="utf-8")
            parts.append('"$PYTHON" program.py')
        else:
            if "--dir tinh" in body and "init" not in body and "token" not in body:
                parts.append("settled")
            parts.append(body)
            if "propose" in body:
                parts.append("settled")
    text = "\n".join(parts) + "\nsettled\n"
    for port in ("8443", "8444"):
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    return text + "echo DONE\n"


Done = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("by-hand")
    out = tmp_path_factory.mktemp("shell")
    (out / "in").write_text("")
    path = out / "readme.sh"
    path.write_text(script(folder), encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "OUT": str(out),
        "SYNCD_LANGUAGE": "en",
        "SYNCD_CHECKPOINT_AFTER_S": "0.5",
        "PYTHONPATH": str(README.parent),
    }
    shell = ["bash", str(path)]
    return folder, subprocess.run(
        shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=SHELL_S_MAX, check=False
    )


def test_every_command_of_the_readme_runs(done: Done) -> None:
    _, shell = done
    assert shell.returncode == 0, shell.stdout[-3000:] + shell.stderr[-3000:]
    assert shell.stdout.endswith("DONE\n")


def test_what_was_written_at_the_commune_is_at_the_province(
    done: Done,
) -> None:
    folder, _ = done
    with opened_store(folder / "xa") as commune, opened_store(folder / "tinh") as province:
        for query in (
            "SELECT * FROM person ORDER BY id",
            "SELECT * FROM household ORDER BY id",
            "SELECT * FROM proposal ORDER BY id",
            "SELECT proposal_id, outcome, detail FROM verdict ORDER BY id",
            "SELECT id, code, name FROM unit ORDER BY id",
        ):
            with commune.read() as here, province.read() as there:
                assert here.all(query) == there.all(query), query


def test_the_other_programs_write_was_captured(done: Done) -> None:
    folder, _ = done
    with opened_store(folder / "tinh") as province, province.read() as tx:
        assert tx.value("SELECT count(*) FROM person WHERE phone = '0912000002'") > 0


def test_a_direct_write_was_refused_and_the_proposal_accepted(
    done: Done,
) -> None:
    folder, shell = done
    assert "refused, as it should be" in shell.stdout
    assert "propose instead: syncd propose update person" in shell.stderr

    def accepted() -> bool:
        with opened_store(folder / "huyen") as district, district.read() as tx:
            return tx.all("SELECT outcome FROM verdict") == [("accepted",)]

    until(accepted, "the verdict at the district", 1)


def test_the_environment_of_one_run_is_not_written_down(done: Done) -> None:
    folder, _ = done
    text = (folder / "xa" / "syncd.toml").read_text(encoding="utf-8")
    assert "language" not in text
    assert "checkpoint_after_s" not in text


def test_status_as_json_is_one_document(done: Done) -> None:
    folder, _ = done
    document = json.loads((folder / "tinh.json").read_text(encoding="utf-8"))
    assert document["is_root"]
    assert [child["unit"] for child in document["children"]] == ["439 Huyện Hương Sơn"]
    assert document["daemon"]["pid"]
