"""A decision bears a person's name: accounts that are nobody's own ask for it."""

from __future__ import annotations

import getpass
import io
import pwd
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner

from syncd.cli import who


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What stands as the author when this account gives a command and somebody answers so."""

    def ask(
        account: str, answer: str = "", stated: str | None = None, otherwise: str | None = None, at: bool = True
    ) -> str:  # fmt: skip
        monkeypatch.setattr(who, "is_attended", lambda: at)
        monkeypatch.setattr(getpass, "getuser", lambda: account)
        for name in ("SUDO_USER", "DOAS_USER"):
            monkeypatch.delenv(name, raising=False)

        @click.command()
        def command() -> None:
            click.echo(f"by {who.author(stated, otherwise=otherwise)}")

        done = CliRunner().invoke(command, input=answer)
        assert done.exit_code == 0, done.output
        return done.output.rpartition("by ")[2].strip()

    return ask


@pytest.mark.parametrize("account", ["root", "daemon", "nobody"])
def test_who_sits_behind_an_account_of_nobody_is_asked(asked: Callable[..., str], account: str) -> None:
    assert not who.is_person(account)
    assert asked(account, "  Lê  Cán Bộ \n") == "Lê Cán Bộ"
    assert asked(account) == account  # nobody is there
    assert asked(account, otherwise="Xã Thử") == "Xã Thử"
    assert asked(account, "what a pipe holds\n", at=False) == account, "nobody sits at a pipe"


def test_a_name_that_was_stated_stands_and_nobody_is_asked(asked: Callable[..., str]) -> None:
    assert asked("root", "other\n", stated="Lê Cán Bộ") == "Lê Cán Bộ"


def test_a_persons_account_is_its_name(monkeypatch: pytest.MonkeyPatch, asked: Callable[..., str]) -> None:
    person = pwd.struct_passwd(("lan", "x", 1000, 1000, "", "/home/lan", "/bin/bash"))
    service = pwd.struct_passwd(("syncd", "x", 1001, 1001, "", "/var/lib/syncd", "/usr/sbin/nologin"))
    monkeypatch.setattr(pwd, "getpwnam", {"lan": person, "syncd": service}.__getitem__)
    assert asked("lan", "other\n") == "lan"
    assert asked("syncd", "Lan Nguyễn\n") == "Lan Nguyễn"
    assert asked("somebody of a directory service") == "somebody of a directory service"


def test_a_pipe_and_a_closed_door_are_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Lan\n"))
    assert not who.is_attended()
    monkeypatch.setattr("sys.stdin", None)  # a service without any
    assert not who.is_attended()


def test_who_became_root_keeps_the_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    people = {"lan": pwd.struct_passwd(("lan", "x", 1000, 1000, "", "/home/lan", "/bin/bash"))}
    monkeypatch.setattr(pwd, "getpwnam", lambda name: people.get(name) or pwd.getpwuid(0))
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    monkeypatch.setenv("SUDO_USER", "lan")
    assert who.author() == "lan"


def test_the_next_of_several_pasted_commands_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(who, "is_attended", lambda: True)
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    for name in ("SUDO_USER", "DOAS_USER"):
        monkeypatch.delenv(name, raising=False)
    command = click.Command("command", callback=lambda: click.echo(who.author()))
    done = CliRunner().invoke(command, input="syncd conflicts resolve 7175-98fb --verdict keep-ours\n")
    assert done.exit_code == 2
    assert "--author" in done.output
