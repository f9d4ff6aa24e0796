"""`make mutants`: would the tests of `conflict/` notice if a decision were made otherwise?

Enters: conflict/, tests/unit/conflict, tools/mutants.toml (mutants that change nothing, each with its reason).
Leaves: the survivors as diffs, and one line of counts; exit 0 only when every survivor is explained.
Must hold: mutmut works on a copy, so the sources are never touched; hypothesis draws the same examples every time, so
two runs count alike; a run that does not end within its bound is a failure, not a pass.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPLAINED = Path(__file__).with_suffix(".toml")
RUN_S_MAX = 1_200
WORKERS = 2
SETTINGS = """
[tool.mutmut]
source_paths = ["conflict"]
only_mutate = [{chosen}]
also_copy = ["tests"]
pytest_add_cli_args_test_selection = ["tests/unit/conflict"]

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib", "-p", "no:cacheprovider"]
pythonpath = ["."]
"""
# A mutant may be slow, and must meet the same examples as the one before; nobody asks for its smallest example.
CONFTEST = """
from hypothesis import Phase, settings

PHASES = (Phase.explicit, Phase.generate)
settings.register_profile("mutants", deadline=None, derandomize=True, database=None, phases=PHASES, max_examples=40)
settings.load_profile("mutants")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change that no test noticed: lines of a function, before and after."""

    name: str
    function: str
    was: str
    becomes: str
    diff: str

    def is_like(self, explained: dict[str, str]) -> bool:
        """Found by its text, not by its number: numbers move when anything above them changes."""
        return (self.function, self.was, self.becomes) == (
            explained["function"],
            explained["was"].strip(),
            explained["becomes"].strip(),
        )


def main() -> int:
    """Make mutants, run the tests against each, compare the survivors with those explained."""
    arguments = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="syncd-mutants-"))
    try:
        _prepare(folder, arguments.modules)
        _mutmut(folder, "run", "--max-children", str(WORKERS))
        _mutmut(folder, "export-cicd-stats")
        counts = json.loads((folder / "mutants" / "mutmut-cicd-stats.json").read_text())
        survivors = _survivors(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _tell(counts, survivors, is_whole=not arguments.modules)


def _tell(counts: dict[str, int], survivors: Sequence[Mutant], *, is_whole: bool) -> int:
    explained = tomllib.loads(EXPLAINED.read_text(encoding="utf-8")).get("equivalent", [])
    unexplained = [mutant for mutant in survivors if not any(mutant.is_like(each) for each in explained)]
    stale = [each for each in explained if not any(mutant.is_like(each) for mutant in survivors)] if is_whole else []
    for mutant in unexplained:
        print(f"{mutant.name} survived:\n{mutant.diff}\n")
    for each in stale:
        print(f"{EXPLAINED.name} explains a mutant of {each['function']} that no longer survives: {each['was']}")
    made = counts["total"] - counts["skipped"]
    killed = made - len(survivors)
    explained_count = len(survivors) - len(unexplained)
    print(f"mutants: {made} made, {killed} killed, {len(survivors)} survived (explained {explained_count})")
    return 1 if unexplained or stale else 0


def _prepare(folder: Path, modules: Sequence[str]) -> None:
    """A copy of the package and its tests alone: no plug-in, no database, nothing else to mutate."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "conflict", folder / "conflict", ignore=ignore)
    shutil.copytree(ROOT / "tests" / "unit" / "conflict", folder / "tests" / "unit" / "conflict", ignore=ignore)
    (folder / "tests" / "conftest.py").write_text(CONFTEST)
    chosen = ", ".join(f'"conflict/{module}.py"' for module in modules)
    (folder / "pyproject.toml").write_text(SETTINGS.format(chosen=chosen))


def _survivors(folder: Path) -> list[Mutant]:
    """Every mutant that no test ended: survived, untested, or not judged at all."""
    found = []
    for line in _mutmut(folder, "results").splitlines():
        name, colon, status = line.strip().rpartition(": ")
        if colon and name.startswith("conflict.") and status not in ("killed", "timeout", "skipped"):
            found.append(_mutant(name, _mutmut(folder, "show", name)))
    return found


def _mutant(name: str, shown: str) -> Mutant:
    lines = shown.splitlines()
    body = [line for line in lines if not line.startswith(("---", "+++", "#"))]
    was, becomes = ("\n".join(line[1:].strip() for line in body if line.startswith(sign)) for sign in "-+")
    return Mutant(name=name, function=_function(name), was=was, becomes=becomes, diff="\n".join(lines[1:]))


def _function(name: str) -> str:
    """`conflict.settle.x__latest__mutmut_3` is `conflict.settle._latest`; methods carry their class between ǁ."""
    module, _, mangled = name.partition(".x")
    readable = mangled.rpartition("__mutmut_")[0]
    return f"{module}.{readable[1:].replace('ǁ', '.')}"


def _mutmut(folder: Path, *arguments: str) -> str:
    """One command of mutmut. Raises SystemExit with its words when it fails or does not end."""
    command = [sys.executable, "-W", "ignore", "-m", "mutmut", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=RUN_S_MAX, check=False)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"mutants: `mutmut {arguments[0]}` did not end within {RUN_S_MAX} s") from None
    if done.returncode:
        raise SystemExit(f"mutants: `mutmut {arguments[0]}` failed\n{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}")
    return done.stdout


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description="Mutation tests of conflict/.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="files of conflict/ without .py (default: all)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
