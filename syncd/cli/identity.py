"""`syncd identity match|list|confirm|unlink`: rows that are one person, found and decided at the tier that sees both.

Enters: the node's tables. Leaves: links as rows, counts by kind; the rows of persons are never touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.output import emit, emit_json
from syncd.cli.verb import Group, directory_option, json_option, option, verb
from syncd.language import Both, number, say
from syncd.text import escaped

if TYPE_CHECKING:
    from syncd.store.base import Tx

Decision = Callable[["Tx", str, str, str], None]

command = Group(
    name="identity",
    words=Both(
        "Một người, nhiều bản ghi: tìm, xem, xác nhận, gỡ liên kết.",
        "One person, several rows: find, look, confirm, take apart.",
    ),
    examples=("syncd identity match", "syncd identity list --state proposed"),
)
STATES = ("linked", "proposed", "unlinked")


@verb(
    Both(
        "Tìm các bản ghi là cùng một người, giữa các đơn vị trực thuộc máy này.\n\nChỉ đối chiếu bản ghi đã thay đổi; "
        "--all đối chiếu lại tất cả. Không bản ghi nào bị xóa hay sửa.",
        "Find rows that are one person, among the units below this node.\n\nOnly rows that changed are matched; --all "
        "matches everybody again. No row is deleted or changed.",
    ),
    "syncd identity match",
    "syncd identity match --all --json",
    name="match",
)
@option("--all", "everybody", is_flag=True, vi="Đối chiếu lại tất cả.", en="Match everybody again.")
@directory_option
@json_option
def match_command(everybody: bool, directory: Path | None, as_json: bool) -> None:
    import os

    from syncd.cli.place import opened_store
    from syncd.clock import instant_of
    from syncd.identity.match import match_changed, match_everybody

    run = match_everybody if everybody else match_changed
    with opened_store(directory) as store:
        done = run(store, instant_of(time.time_ns() // 1_000_000), os.urandom)
    if as_json:
        emit_json(done)
        return
    emit(
        say(
            "Đã đối chiếu {persons} nhân khẩu: {linked} liên kết, {proposed} chờ xem xét, {clashes} số trùng của người"
            " khác nhau, {withdrawn} rút lại.",
            "{persons} persons matched: {linked} linked, {proposed} to be looked at, {clashes} numbers borne by two,"
            " {withdrawn} withdrawn.",
            persons=number(done.persons),
            linked=number(done.counts.linked),
            proposed=number(done.counts.proposed),
            clashes=number(done.counts.clashes),
            withdrawn=number(done.counts.withdrawn),
        )
    )
    if done.counts.proposed or done.counts.clashes:
        emit(say("Xem: [[syncd conflicts list]]", "See: [[syncd conflicts list]]"))


@verb(
    Both("Liệt kê liên kết, mỗi bên một dòng.", "List links, one line per side."),
    "syncd identity list --state proposed",
    name="list",
)
@option("--state", type=click.Choice(STATES), default="linked", vi="Trạng thái.", en="The state.")
@directory_option
@json_option
def list_command(state: str, directory: Path | None, as_json: bool) -> None:
    from syncd.cli.place import opened_store
    from syncd.identity.words import STATES as WORDS
    from syncd.identity.words import own_sides, told

    with opened_store(directory) as store, store.read() as tx:
        found = own_sides(tx, state)
    if as_json:
        emit_json(found)
        return
    if not found:
        emit(say("Không có liên kết nào.", "No links."))
    for side in escaped.tree(found):
        emit(f"{side.link_id}  [{WORDS[side.state].here}]  {told(side)}")


@verb(
    Both("Xác nhận: cùng một người.", "Confirm: the same person."),
    "syncd identity confirm 0d6f3c5e-7a01-4c2d-8e9f-00005d2c0a11",
    name="confirm",
)
@click.argument("link_id", metavar="LINK_ID")
@option(
    "--author", metavar="NAME", vi="Người quyết định (mặc định: người dùng).", en="Who decides (default: the user)."
)
@directory_option
@json_option
def confirm_command(link_id: str, author: str | None, directory: Path | None, as_json: bool) -> None:
    from syncd.identity.links import confirm

    _decide(confirm, link_id, author, directory, as_json)


@verb(
    Both(
        "Gỡ liên kết: không phải cùng một người.\n\nHai bản ghi giữ nguyên; cặp này không bao giờ tự liên kết lại.",
        "Take a link apart: not the same person.\n\nBoth rows stay as they are; the pair is never linked again by"
        " itself.",
    ),
    "syncd identity unlink 0d6f3c5e-7a01-4c2d-8e9f-00005d2c0a11",
    name="unlink",
)
@click.argument("link_id", metavar="LINK_ID")
@option(
    "--author", metavar="NAME", vi="Người quyết định (mặc định: người dùng).", en="Who decides (default: the user)."
)
@directory_option
@json_option
def unlink_command(link_id: str, author: str | None, directory: Path | None, as_json: bool) -> None:
    from syncd.identity.links import unlink

    _decide(unlink, link_id, author, directory, as_json)


def _decided(store: Any, decision: Decision, link_id: str, by: str) -> str:
    """The link's state afterwards."""
    from syncd.clock import instant_of

    with store.write("identity") as tx:
        decision(tx, link_id, by, instant_of(time.time_ns() // 1_000_000))
        return str(tx.value("SELECT state FROM person_link WHERE link_id = ?", (link_id,)))


def _decide(decision: Decision, link_id: str, author: str | None, directory: Path | None, as_json: bool) -> None:
    from syncd.cli.place import opened_store
    from syncd.cli.who import author as user
    from syncd.identity.words import STATES as WORDS
    from syncd.store.patience import again

    with opened_store(directory) as store:
        with store.read() as tx:
            name = str(tx.value("SELECT value FROM syncd_meta WHERE key = 'name'"))
        by = user(author, otherwise=name, asks=not as_json)
        state = again(lambda: _decided(store, decision, link_id, by))
    if as_json:
        emit_json({"link_id": link_id, "state": state})
    else:
        emit(say("Liên kết {link}: {state}.", "Link {link}: {state}.", link=link_id, state=WORDS[state].here))


command.add_command(match_command)
command.add_command(list_command)
command.add_command(confirm_command)
command.add_command(unlink_command)
