"""`syncd generate`: a register of people who do not exist, for trying out and for measuring.

Enters: a unit, a number of persons, a seed. Leaves: rows written as any clerk's; the same for the same arguments.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from syncd.cli.output import emit, emit_json
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, number, say


@verb(
    Both(
        "Sinh sổ dân số giả lập cho một đơn vị do nút này giữ.",
        "Write a generated register into a unit that this node keeps.",
    ),
    "syncd generate --unit 18133 --persons 1000 --seed 7",
)
@option(
    "--unit",
    "unit_code",
    metavar="CODE",
    vi="Mã đơn vị (mặc định: đơn vị của nút).",
    en="The unit's code (default: the node's own).",
)
@option("--persons", type=int, required=True, metavar="N", vi="Số nhân khẩu.", en="How many persons.")
@option(
    "--seed",
    type=int,
    default=1,
    metavar="S",
    vi="Hạt giống: cùng số thì cùng kết quả.",
    en="The same seed gives the same people.",
)
@directory_option
@json_option
def command(unit_code: str | None, persons: int, seed: int, directory: Path | None, as_json: bool) -> None:
    from syncd.cli.import_csv import own_unit
    from syncd.cli.place import opened_store
    from syncd.inputs.generate import generate

    with opened_store(directory) as store:
        unit_id = own_unit(store, unit_code)
        done = generate(store, unit_id=unit_id, persons=persons, seed=seed, today=date.today())
    if as_json:
        emit_json(done)
        return
    emit(
        say(
            "Đã sinh {households} hộ, {persons} nhân khẩu, {births} ca sinh, {deaths} ca chết, {moves} chuyển đi đến.",
            "Written: {households} households, {persons} persons, {births} births, {deaths} deaths, {moves} moves.",
            households=number(done.households),
            persons=number(done.persons),
            births=number(done.births),
            deaths=number(done.deaths),
            moves=number(done.migrations),
        )
    )
