"""Who gives a command: a person, by name.

Enters: what the operator stated, the account that asks. Leaves: a name that stands in decisions, orders and proposals.
Must hold: an account that is nobody's own (root, a service) does not decide: who sits there is asked, and only where
nobody can answer (no terminal, as for a schedule or a pipe) does the account's name stand.
"""

from __future__ import annotations

import getpass
import os
import sys

import click

from syncd import limits
from syncd.language import say

FIRST_PERSON_UID = 1000
NOBODY_UID = 65_534
SERVICES = frozenset({"system", "local service", "network service", "localsystem"})  # of Windows
CLOSED_SHELLS = ("nologin", "false")  # nobody signs in there


def author(stated: str | None = None, *, otherwise: str | None = None, asks: bool = True) -> str:
    """The name stated; else the account's, where it is a person's; else who answers. `otherwise`: what stands where
    nobody answers, instead of the account. `asks`: whether somebody may be there."""
    if stated and stated.strip():
        return stated.strip()[: limits.AUTHOR_CHARS_MAX]
    account = getpass.getuser()
    if is_person(account):
        return account
    behind = os.environ.get("SUDO_USER") or os.environ.get("DOAS_USER") or ""
    if behind and is_person(behind):
        return behind
    return (asks and _answer(account)) or otherwise or account


def is_person(account: str) -> bool:
    """Whether somebody signs in under this account. One that the system does not know is believed to be a person's."""
    if sys.platform == "win32":
        return account.lower() not in SERVICES and not account.endswith("$")
    else:
        import pwd

        try:
            found = pwd.getpwnam(account)
        except KeyError:
            return True
        is_open = not found.pw_shell.endswith(CLOSED_SHELLS)
        return FIRST_PERSON_UID <= found.pw_uid < NOBODY_UID and is_open


def is_attended() -> bool:
    """Whether somebody sits where questions are answered."""
    return sys.stdin is not None and sys.stdin.isatty()


def _answer(account: str) -> str:
    """Who decides, as asked on the terminal; nothing where nobody is there."""
    if not is_attended():
        return ""
    question = say(
        "Tài khoản {account} không phải của riêng ai. Ai quyết định? Họ và tên",
        "The account {account} is nobody's own. Who decides? Full name",
        account=account,
    )
    try:
        answer: str = click.prompt(question, err=True)
    except (click.Abort, OSError):  # no terminal, nothing to read from
        click.echo(err=True)
        return ""
    if answer.lstrip().startswith("syncd ") or " --" in answer:  # the next of several lines that were pasted
        raise click.UsageError(
            say(
                "đó là một câu lệnh, không phải tên người — dán từng lệnh một, hoặc thêm --author TÊN",
                "that is a command, not a person's name — paste one command at a time, or add --author NAME",
            )
        )
    return " ".join(answer.split())[: limits.AUTHOR_CHARS_MAX]
