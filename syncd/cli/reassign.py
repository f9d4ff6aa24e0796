"""`syncd reassign`: households pass to another unit of the same keeper; a unit is split, or folded into another.

Enters: two units, which households. Leaves: an order for the keeper of both, or a preview.
"""

from __future__ import annotations

from pathlib import Path

import click

from syncd import limits
from syncd.cli.output import emit, emit_json
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, number, say


@verb(
    Both(
        "Chuyển hộ sang đơn vị khác: tách một đơn vị theo danh sách hộ, hoặc gộp cả đơn vị.\n\nNgười và biến động của "
        "hộ đi theo. Id không đổi. Chạy tại tuyến trên hoặc tại nơi giữ cả hai đơn vị.",
        "Pass households to another unit: split a unit by a list, or fold a whole one into another.\n\nPersons and "
        "events go with their household; ids stay. Run it at a tier above, or at the node that keeps both units.",
    ),
    "syncd reassign 18133 --into 18136 --households ho.txt --dry-run --dir huyen",
    "syncd reassign 18133 --into 18136 --all --dir huyen",
)
@click.argument("unit_code", metavar="UNIT")
@option("--into", "target", required=True, metavar="UNIT", vi="Đơn vị nhận.", en="The unit that takes them.")
@option(
    "--households",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    vi="Mỗi dòng một số hộ hoặc id của hộ.",
    en="One household number or id per line.",
)
@option("--all", "everything", is_flag=True, vi="Cả đơn vị.", en="The whole unit.")
@option("--reason", default="", metavar="TEXT", vi="Lý do, ghi vào lệnh.", en="Why; it stands in the order.")
@option("--dry-run", is_flag=True, vi="Chỉ nói trước sẽ có gì xảy ra.", en="Only say what would happen.")
@directory_option
@json_option
def command(
    unit_code: str, target: str, households: Path | None, everything: bool, reason: str, dry_run: bool,
    directory: Path | None, as_json: bool,
) -> None:  # fmt: skip
    from syncd import keeping
    from syncd.cli.place import node_directory
    from syncd.cli.who import author
    from syncd.errors import UsageError
    from syncd.node_files import open_node

    if (households is None) != everything:
        raise UsageError(
            say("chưa rõ hộ nào", "which households?"),
            say("nêu --households FILE hoặc --all", "give --households FILE or --all"),
        )
    opened = open_node(node_directory(directory))
    try:
        opened.node.reread_tree()
        with opened.store.read() as tx:
            from_unit = keeping.unit_named(opened.node, tx, unit_code)
            to_unit = keeping.unit_named(opened.node, tx, target)
            row_ids = None if households is None else keeping.households_named(tx, from_unit, _lines(households))
            move = keeping.Move(from_unit=from_unit, to_unit=to_unit, row_ids=row_ids)
            keeping.plan_move(opened.node, tx, move)
            concerned = keeping.size_of(tx, move)
        if not dry_run:
            keeping.reassign(opened.node, move, author=author(asks=not as_json), reason=reason)
    finally:
        opened.close()
    if as_json:
        emit_json({"from": from_unit, "to": to_unit, **concerned, "ordered": not dry_run})
        return
    emit(say("{households} hộ với {persons} nhân khẩu sang đơn vị {target}.", "{households} households with {persons}"
             " persons pass to unit {target}.", households=number(concerned["households"]),
             persons=number(concerned["persons"]), target=target))  # fmt: skip
    emit(say("Xem trước, chưa làm gì.", "A preview: nothing was done.") if dry_run
         else say("Đã ra lệnh; nơi giữ đơn vị thực hiện.", "Ordered; the units' keeper carries it out."))  # fmt: skip


def _lines(path: Path) -> list[str]:
    from syncd.cli.texts import read_text

    return [line.strip() for line in read_text(path, limits.LIST_BYTES_MAX).splitlines() if line.strip()]
