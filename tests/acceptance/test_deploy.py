"""The installer and the service: what it refuses, what stays when something fails, that the wheel holds what a station
needs. Releases of the installer's tests are small wheels of the test's own; the real one is unpacked and run."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shlex
import shutil
import signal
import site
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import WAIT_S_MAX, until

DEPLOY = Path("deploy").absolute()
NOBODY = 65534
TOOLS = """sh awk basename cat chmod cp cut date df dirname find grep head id install ln ls mkdir mktemp mv printf
readlink rm sed sha256sum sort tail touch tr wc""".split()  # noqa: SIM905  # a list of words


# --- small releases


def release(folder: Path, version: str, works: bool = True, requires: str = "") -> Path:
    """A wheel called syncd that knows `--version` and `init`."""
    code = f"import sys\nprint('syncd {version}')\nsys.exit({0 if works else 1})\n"
    info = f"syncd-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: syncd\nVersion: {version}\n" + (
        requires and f"Requires-Dist: {requires}\n"
    )
    files = {
        "syncd/__init__.py": f'__version__ = "{version}"\n',
        "syncd/__main__.py": code,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{name},sha256={_digest(text)},{len(text)}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
    folder.mkdir(exist_ok=True)
    path = folder / f"syncd-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@dataclass
class Machine:
    """A folder that stands for a machine's root."""

    folder: Path

    def __post_init__(self) -> None:
        """The caller stands among modules that are called as Python's own."""
        self.elsewhere = self.folder / "elsewhere"
        self.elsewhere.mkdir(exist_ok=True)
        for name in ("zipfile", "venv", "ensurepip", "pip", "pathlib", "sysconfig"):
            (self.elsewhere / f"{name}.py").write_text("open(__file__ + '.ran', 'w').close()\n")

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def opt(self) -> Path:
        return self.root / "opt/syncd"

    def call(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            ["sh", DEPLOY / "install.sh", "--root", self.root, "--python", sys.executable, *arguments],
            env={"PATH": os.environ["PATH"], "LANG": "C", **environment}, capture_output=True, text=True, check=False,
            cwd=self.elsewhere,
        )  # fmt: skip
        assert list(self.elsewhere.glob("*.ran")) == []
        return result

    def done(self, *arguments: str | Path, **environment: str) -> str:
        result = self.call(*arguments, **environment)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def refused(self, *arguments: str | Path, **environment: str) -> tuple[int, str]:
        result = self.call(*arguments, **environment)
        assert result.returncode, result.stdout
        assert "error: " in result.stderr, result.stderr
        return result.returncode, result.stderr

    def version(self) -> str:
        """What the command says: from the environment that is in use."""
        python = self.opt / "current/bin/python"
        return subprocess.run([python, "-I", "-m", "syncd"], capture_output=True, text=True, check=True).stdout.strip()

    def versions(self) -> list[str]:
        return sorted(path.name.partition("-")[0] for path in (self.opt / "versions").iterdir())


class Service:
    """A service manager that has a node running, one that comes up again and again, one given up, one for the next
    start; it writes down what it is asked."""

    def __init__(self, machine: Machine) -> None:
        (machine.root / "run/systemd/system").mkdir(parents=True)
        self._folder = machine.folder / "bin"
        self._folder.mkdir()
        self.link = machine.root / "etc/systemd/system/multi-user.target.wants/syncd@xd.service"
        self.link.parent.mkdir()
        self.link.symlink_to("/etc/systemd/system/syncd@.service")
        self.environment = {"PATH": f"{self._folder}:{os.environ['PATH']}"}
        self.restart("exit 0")

    def restart(self, does: str) -> None:
        """From now on a restart does so."""
        program = self._folder / "systemctl"
        program.write_text(
            f'#!/bin/sh\necho "$*" >> {self._folder}/asked\n'
            'case "$*" in list-units*--all*|list-units*active*) echo "syncd@xa.service loaded active x";; esac\n'
            'case "$*" in list-units*--all*|list-units*activating*) echo "syncd@xb.service loaded active x";; esac\n'
            'case "$*" in list-units*--all*) echo "syncd@xc.service loaded failed failed x";; esac\n'
            f'case "$1" in restart) {does};; esac\n'
        )
        program.chmod(0o755)

    def asked(self) -> list[str]:
        lines = (self._folder / "asked").read_text().splitlines()
        return [line for line in lines if not line.startswith("list-units")]

    def restarts(self) -> list[str]:
        return [line.removeprefix("restart syncd@")[:2] for line in self.asked() if line.startswith("restart")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def installed_once(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Release 9.1 as the installer leaves it; for tests that change it a copy."""
    made = Machine(tmp_path_factory.mktemp("installed"))
    assert "is installed in" in made.done("install", release(made.folder / "wheels", "9.1"))
    return made


@pytest.fixture
def with_one(installed_once: Machine, tmp_path: Path) -> Machine:
    shutil.copytree(installed_once.folder, tmp_path / "m", symlinks=True)
    return Machine(tmp_path / "m")


def test_a_release_is_upgraded_taken_back_and_removed_and_data_stays(with_one: Machine) -> None:
    machine, service = with_one, Service(with_one)
    station = machine.root / "var/lib/syncd"
    station.mkdir(parents=True)
    (station / "syncd.db").write_text("rows")
    one, two = machine.folder / "wheels/syncd-9.1-py3-none-any.whl", release(machine.folder / "wheels", "9.2")
    assert "nothing changed" in machine.done("install", one)
    assert "-I -m syncd" in (machine.root / "usr/local/bin/syncd").read_text()
    assert "use: install.sh upgrade" in machine.refused("install", two)[1]
    (machine.opt / ".current.new").symlink_to("versions")  # a power cut left it
    assert "9.2" in machine.done("upgrade", two, **service.environment)
    assert (machine.version(), machine.versions(), service.restarts()) == ("syncd 9.2", ["9.1", "9.2"], ["xa", "xb"])
    service.restart("exit 1")
    code, said = machine.refused("rollback", **service.environment)
    assert (code, "journalctl" in said, machine.version()) == (1, True, "syncd 9.2")
    service.restart("exit 0")
    machine.done("rollback", **service.environment)
    assert machine.version() == "syncd 9.1"
    # The copy that was installed serves as well: the stick it came from is gone.
    own = machine.opt / "deploy/install.sh"
    removed = subprocess.run(
        ["sh", own, "--root", machine.root, "uninstall"], env=service.environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert str(station) in removed.stdout
    disabled = [f"disable --now syncd@{name}.service" for name in ("xa", "xb", "xc", "xd")]
    assert (service.asked()[-5:], service.link.is_symlink()) == ([*disabled, "daemon-reload"], False)
    left = sorted(str(path.relative_to(machine.root)) for path in machine.root.rglob("*") if path.is_file())
    assert left == ["var/lib/syncd/syncd.db"]


@pytest.mark.parametrize("broken", ["does not work", "lacks a dependency", "no space"])
def test_an_upgrade_that_fails_leaves_the_version_in_use(with_one: Machine, broken: str) -> None:
    machine = with_one
    folder = machine.folder / "stick"
    requires = "no-such-package-of-ours" if broken == "lacks a dependency" else ""
    release(folder, "9.2", works=broken != "does not work", requires=requires)
    if broken == "no space":
        call = f"exec sh {DEPLOY}/install.sh --root {machine.root} --python {sys.executable} upgrade {folder}"
        result = subprocess.run(
            ["sh", "-c", f"ulimit -f 4; {call}"], capture_output=True, text=True, check=False,  # 2 KB a file
            env={"PATH": os.environ["PATH"], "LANG": "C"},
        )  # fmt: skip
        assert (result.returncode, "version in use is as it was" in result.stderr) == (1, True), result.stderr
    else:
        assert "version in use is as it was" in machine.refused("upgrade", folder)[1]
    assert (machine.version(), machine.versions()) == ("syncd 9.1", ["9.1"])


def test_any_path_serves_and_nobodys_umask_counts(tmp_path: Path) -> None:
    """Folders as people name them, given by a link, beside the caller; the interpreter by a link too."""
    machine = Machine(_folder(tmp_path / 'của "bà"  $HOME; it\'s #1 [x] & *'))
    wheel = release(machine.folder / "the wheels", "9.1")
    (wheel.parent / "SHA256SUMS").write_text(_listed(wheel))
    (machine.folder / "a link").symlink_to(wheel.parent)
    (machine.folder / "py thon").symlink_to(sys.executable)
    said = subprocess.run(
        ["sh", DEPLOY / "install.sh", "--root", "root", "--python", "./py thon", "install", "a link/"],
        cwd=machine.folder, umask=0o077, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "LANG": "C", "CDPATH": "/", "TMPDIR": str(_folder(machine.folder / "t p"))},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert machine.version() == "syncd 9.1"
    unit = machine.root / "etc/systemd/system/syncd.service"
    assert [path.stat().st_mode & 0o777 for path in (machine.opt / "versions", unit)] == [0o755, 0o644]


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_call_that_was_killed_while_it_changed_over_is_finished_by_the_next(with_one: Machine) -> None:
    """The new version is in use, and nothing that runs has been restarted yet."""
    machine, service = with_one, Service(with_one)
    two = release(machine.folder / "wheels", "9.2")
    service.restart("kill -9 0")  # it and whoever called it
    killed = subprocess.run(
        ["sh", DEPLOY / "install.sh", "--root", machine.root, "--python", sys.executable, "upgrade", two],
        env={**service.environment, "LANG": "C"}, start_new_session=True, capture_output=True, check=False,
    )  # fmt: skip
    assert (killed.returncode, machine.version()) == (-signal.SIGKILL, "syncd 9.2")
    service.restart("exit 0")
    assert "Finishing" in machine.done("upgrade", two, **service.environment)
    assert (machine.versions(), service.restarts()) == (["9.1", "9.2"], ["xa", "xa", "xb"])
    assert "nothing changed" in machine.done("upgrade", two, **service.environment)
    machine.done("rollback", **service.environment)
    assert machine.version() == "syncd 9.1"


def test_what_was_killed_while_it_removed_or_began_is_still_ours(with_one: Machine) -> None:
    shutil.rmtree(with_one.opt / "versions")
    (with_one.opt / "current").unlink()
    with_one.done("uninstall")
    assert not with_one.opt.exists()


def _damaged(wheel: Path) -> Path:
    data = bytearray(wheel.read_bytes())
    at = data.index(b"import sys")
    data[at] ^= 1
    wheel.write_bytes(data)
    return wheel


def _cut_off(wheel: Path) -> Path:
    os.truncate(wheel, 200)
    return wheel


def _with_sums(wheel: Path) -> Path:
    (wheel.parent / "SHA256SUMS").write_text(f"{'0' * 64}  {wheel.name}\n")
    return wheel


def _listed(wheel: Path) -> str:
    return f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}\n"


def _one_more(wheel: Path) -> Path:
    """A wheel that the sums do not speak of, but for a line that is none."""
    more = Path(shutil.copy(wheel, wheel.parent / "more-1.0-py3-none-any.whl"))
    (wheel.parent / "SHA256SUMS").write_text(_listed(wheel) + f"0  {more.name}\n")
    return wheel.parent


def _not_listed(wheel: Path) -> Path:
    more = Path(shutil.copy(wheel, wheel.parent / "more-1.0-py3-none-any.whl"))
    (wheel.parent / "SHA256SUMS").write_text(_listed(more))
    return wheel


def _two(wheel: Path) -> Path:
    release(wheel.parent, "9.0")
    return wheel.parent


SOURCES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "damaged": (_damaged, "is damaged"),
    "cut off": (_cut_off, "is damaged"),
    "other sums": (_with_sums, "SHA256SUMS"),
    "one more than the sums": (_one_more, "does not list"),
    "not in the sums": (_not_listed, "does not list"),
    "another name": (lambda wheel: wheel.rename(wheel.parent / "other-1.0-py3-none-any.whl"), "has no syncd-"),
    "nothing there": (lambda wheel: wheel.parent / "nowhere", "there is no"),
    "two releases": (_two, "2 releases"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_that_is_not_whole_is_refused_before_anything_is_written(machine: Machine, source: str) -> None:
    change, words = SOURCES[source]
    code, said = machine.refused("install", change(release(machine.folder / "wheels", "9.1")))
    assert (code, words in said) == (1, True), said
    assert list(machine.root.iterdir()) == []


def test_what_is_not_ours_is_left_alone(machine: Machine) -> None:
    wheel = release(machine.folder / "wheels", "9.1")
    for name in ("opt/syncd/theirs", "usr/local/bin/syncd", "etc/systemd/system/syncd.service"):
        theirs = machine.root / name
        theirs.parent.mkdir(parents=True)
        theirs.write_text("theirs")
        assert "not syncd's" in machine.refused("install", wheel)[1]
        assert theirs.read_text() == "theirs"
        theirs.unlink()
        theirs.parent.rmdir()
    assert "not installed" in machine.refused("uninstall")[1]
    assert "not installed" in machine.refused("upgrade", wheel)[1]
    assert "no earlier version" in machine.refused("rollback")[1]
    assert "MB are needed" in machine.refused("install", wheel, SYNCD_SPACE_MB="999999999")[1]
    assert "Python 3.11" in machine.refused("--python", "/no/python", "install", wheel)[1]
    assert machine.call("install").returncode == machine.call("dance").returncode == 2


def test_a_machine_without_python_is_told_what_to_install(machine: Machine) -> None:
    tools = machine.folder / "tools"
    tools.mkdir()
    for name in TOOLS:
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    said = subprocess.run(
        ["sh", DEPLOY / "install.sh", "--root", machine.root, "install", release(machine.folder / "wheels", "9.1")],
        env={"PATH": str(tools), "SYNCD_LANGUAGE": "vi"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (said.returncode, "apt-get install python3 python3-venv" in said.stderr) == (78, True)
    assert said.stderr.startswith("lỗi: không có Python")


def test_an_ordinary_user_is_refused() -> None:
    """On the machine itself, that is without --root. The text comes by the standard input: our folder may be closed."""
    account = NOBODY if os.geteuid() == 0 else None
    script = (DEPLOY / "install.sh").read_text()
    for verb in (["install", "x.whl"], ["rollback"], ["uninstall"]):
        said = subprocess.run(
            ["sh", "-s", *verb], input=script, cwd="/", env={"PATH": os.environ["PATH"]}, text=True,
            capture_output=True, check=False, user=account,
        )  # fmt: skip
        assert (said.returncode, "sudo" in said.stderr) == (77, True), said.stderr


# --- the units


def unit(name: str) -> dict[str, str]:
    lines = (DEPLOY / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


ACCOUNT_TOOLS: dict[str, tuple[dict[str, str], list[str], bool]] = {  # what the machine has → what is called, made?
    "useradd": ({"useradd": "exit 0"}, ["useradd --system"], True),
    "useradd that fails": ({"useradd": "echo /etc is locked >&2; exit 1"}, ["useradd --system"], False),
    "adduser of Debian": ({"adduser": "exit 0"}, ["adduser --system"], True),
    "adduser of BusyBox": (
        {"adduser": "case $1 in -S) ;; *) exit 1 ;; esac", "addgroup": "exit 0"},
        ["adduser --system", "addgroup -S", "adduser -S"], True,
    ),
    "a group of an earlier try": (
        {"adduser": "case $1 in -S) ;; *) exit 1 ;; esac", "addgroup": "exit 1", "grep": "exit 0"},
        ["adduser --system", "grep -q", "adduser -S"], True,
    ),
    "adduser without what it calls": (
        {"adduser": "exit 1", "addgroup": "echo /etc is locked >&2; exit 1"},
        ["adduser --system", "addgroup -S"], False,
    ),
    "nothing": ({}, [], False),
}  # fmt: skip


@pytest.mark.parametrize(("tools", "called", "made"), ACCOUNT_TOOLS.values(), ids=ACCOUNT_TOOLS)
def test_the_account_is_made_with_what_there_is_or_asked_for(
    tmp_path: Path, tools: dict[str, str], called: list[str], made: bool
) -> None:
    text = (DEPLOY / "install.sh").read_text()
    functions = [text[text.index(f"{name}() {{") :].partition("\n}\n")[0] + "\n}\n"
                 for name in ("add_account", "make_account")]  # fmt: skip
    for name, does in {"id": "exit 1", "install": "exit 0", **tools}.items():
        tool = tmp_path / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n{does}\n')
        tool.chmod(0o755)
    script = 'root="" ACCOUNT=syncd STATE=/x; fail() { echo "$3"; exit "$1"; }\n' + "".join(functions) + "make_account"
    done = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == (0 if made else 78), done.stderr
    calls = [" ".join(line.split()[:2]) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [each for each in calls if not each.startswith(("id ", "install "))] == called
    assert done.stderr == ("/etc is locked\n" if "locked" in str(tools) else "")
    assert made is ("cannot make the account" not in done.stdout)


def test_the_units_differ_by_the_nodes_folder_alone() -> None:
    one, several = unit("syncd.service"), unit("syncd@.service")
    changed = {key: value for key, value in several.items() if one[key] != value}
    assert set(changed) == {"Description", "ExecStart", "StateDirectory"}
    assert changed["ExecStart"].replace("/syncd/%i", "/syncd") == one["ExecStart"]


def test_the_units_are_sound_and_sandboxed(tmp_path: Path) -> None:
    """By systemd's own judgement where it is installed; what matters most is looked at in any case."""
    wanted = {"Type": "notify", "User": "syncd", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "UMask": "0077",
              "CapabilityBoundingSet": "", "RestartPreventExitStatus": "2 77 78"}  # fmt: skip
    assert wanted.items() <= unit("syncd@.service").items()
    if shutil.which("systemd-analyze") is None:
        return
    for name in ("syncd.service", "syncd@.service"):
        text = (DEPLOY / name).read_text().replace("/opt/syncd/current/bin/python", sys.executable)
        (tmp_path / name).write_text(text)
        found = subprocess.run(
            ["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True, check=False
        )
        assert (found.returncode, found.stderr) == (0, "")


# --- the wheel


def _clean_copy(folder: Path) -> Path:
    """What a wheel is made of, without the bytecode that other tests write meanwhile."""
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(name, folder)
    for name in ("syncd", "schema", "conflict"):
        shutil.copytree(name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own wheel in an environment of its own, as the installer makes it; what it depends on is the tests'
    own (the working copy is not: nothing of a site's `.pth` files counts through a `.pth` file)."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=_clean_copy(folder / "source"), check=True, capture_output=True)
    made = folder / "current"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True, capture_output=True)
    (packages,) = made.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return made


def installed(environment: Path, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [environment / "bin/python", "-I", "-m", "syncd", *arguments], cwd="/", text=True, capture_output=True,
        check=False, env={"PATH": os.environ["PATH"], "SYNCD_LANGUAGE": "en", **settings},
    )  # fmt: skip


class Supervisor:
    """A service manager's end of the notify socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(WAIT_S_MAX)

    def heard(self, text: str) -> None:
        """Wait until it was told so."""
        while self._socket.recv(4096).decode() != text:
            pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path_factory.mktemp("n") / "s")
    yield made
    made.close()


def test_the_wheel_alone_makes_a_root_and_a_station_and_the_unit_serves_them(
    environment: Path, supervisor: Supervisor, tmp_path: Path
) -> None:
    root, station = tmp_path / "tinh", tmp_path / "xa"
    made = installed(
        environment, "init", "--dir", root, "--unit", "42", "--unit-name", "Tỉnh", "--listen", "127.0.0.1:0"
    )
    assert made.returncode == 0, made.stderr
    assert installed(environment, "units", "import", "--demo", "--dir", root).returncode == 0
    line = unit("syncd.service")["ExecStart"].replace("/opt/syncd/current", str(environment))
    log = (tmp_path / "log").open("w")
    daemon = subprocess.Popen(
        shlex.split(line.replace("/var/lib/syncd", str(root))), stderr=log, cwd="/",
        env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(supervisor.path), "WATCHDOG_USEC": "200000"},
    )  # fmt: skip
    try:
        supervisor.heard("READY=1")
        supervisor.heard("WATCHDOG=1")
        listening = until(lambda: json.loads((root / "daemon.json").read_text())["listen"], "it listens")
        address = f"https://{listening}"
        token = installed(environment, "token", "--unit", "18133", "--dir", root, SYNCD_ADDRESSES=address)
        assert token.returncode == 0, token.stderr
        joined = installed(environment, "join", token.stdout.strip().splitlines()[-1], "--dir", station)
        assert joined.returncode == 0, joined.stderr
        once = installed(environment, "sync", "--once", "--dir", station)
        assert once.returncode == 0, once.stderr
        daemon.send_signal(signal.SIGTERM)
        supervisor.heard("STOPPING=1")
        assert daemon.wait(WAIT_S_MAX) == 0
    finally:
        daemon.kill()
        daemon.wait()
        log.close()


def test_another_packages_name_is_noticed_and_the_installed_command_does_not_meet_it(
    environment: Path, tmp_path: Path
) -> None:
    """`schema` and `conflict` are also names of other projects."""
    for name in ("schema.py", "conflict/__init__.py"):
        folder = tmp_path / name.partition(".")[0].partition("/")[0]
        theirs = folder / name
        theirs.parent.mkdir(parents=True)
        theirs.write_text("raise RuntimeError('a stranger')")
        beside = {"PATH": os.environ["PATH"], "SYNCD_LANGUAGE": "en", "PYTHONPATH": str(folder)}
        status = [str(environment / "bin/python"), "-m", "syncd", "status", "--dir", str(tmp_path / "none")]
        met = subprocess.run(status, env=beside, cwd="/", capture_output=True, text=True, check=False)
        assert (met.returncode, str(theirs) in met.stderr) == (78, True), met.stderr
        assert "-I -m syncd" in met.stderr
        kept = installed(environment, "status", "--dir", tmp_path / "none", PYTHONPATH=str(folder))
        assert "there is no node" in kept.stderr


def test_the_wheel_brings_three_packages_and_no_more(environment: Path) -> None:
    (packages,) = environment.glob("lib/python3*/site-packages")
    names = {path.name for path in packages.iterdir() if not path.name.startswith(("_", "distutils", "dependencies"))}
    assert {name for name in names if not name.endswith(".dist-info")} == {"syncd", "schema", "conflict"}
