"""`syncd generate`: a register of people who do not exist, for trying out and for measuring.

Enters: a unit, a number of persons, a seed; shares of people who are written twice or look as if they were.
Leaves: rows written as any clerk's, the same for the same arguments; the truth about those people as a file.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import click

from syncd.cli.output import emit, emit_json
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, number, say


def permille(name: str, vi: str, en: str, default: int = 0) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option that takes a share of the persons."""
    return option(
        name,
        type=click.IntRange(0, 1000),
        default=default,
        metavar="PERMILLE",
        vi=f"Phần nghìn: {vi}.",
        en=f"Permille: {en}.",
    )


@verb(
    Both(
        "Sinh sổ dân số giả lập cho một đơn vị do máy này giữ.",
        "Write a generated register into a unit that this node keeps.",
    ),
    "syncd generate --unit 18133 --persons 1000 --seed 7 --duplicates 10 --moves 25 --share 1/6 --truth truth.csv",
    "syncd generate --unit 18133 --persons 1000 --seed 7",
)
@option(
    "--unit",
    "unit_code",
    metavar="CODE",
    vi="Mã đơn vị (mặc định: đơn vị của máy).",
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
@permille("--duplicates", "người có bản ghi ở hai nơi", "persons kept twice")
@permille("--moves", "người chuyển đi nơi khác", "persons who moved to another unit")
@permille("--twins", "trẻ sinh đôi", "twins")
@permille("--strangers", "người trùng họ tên, ngày sinh với người khác", "persons of one name and birthday")
@permille("--typing-errors", "trong số đó, người bị gõ sai", "of those, persons with a slip", default=250)
@option(
    "--share",
    default="1/1",
    metavar="I/N",
    vi="Đơn vị thứ mấy trong bao nhiêu đơn vị sinh cùng hạt giống.",
    en="This unit's place among the units generated with one seed.",
)
@option(
    "--truth",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    vi="Ghi sự thật ra tệp CSV: dòng cùng entity là một người.",
    en="Write the truth as CSV: rows of one entity are one person.",
)
@directory_option
@json_option
def command(
    unit_code: str | None,
    persons: int,
    seed: int,
    duplicates: int,
    moves: int,
    twins: int,
    strangers: int,
    typing_errors: int,
    share: str,
    truth: Path | None,
    directory: Path | None,
    as_json: bool,
) -> None:
    from syncd.cli.import_csv import own_unit
    from syncd.cli.place import opened_store
    from syncd.clock import day_of, system_clock
    from syncd.inputs.generate import generate
    from syncd.inputs.twice import Shares, place_of, written
    from syncd.inputs.twice_rows import generate_twice, write_truth

    shares = Shares(
        duplicates=duplicates, moves=moves, twins=twins, strangers=strangers, typing_errors=typing_errors
    )  # fmt: skip
    unit, units = place_of(share)
    with opened_store(directory) as store:
        today = date.fromisoformat(day_of(system_clock()))
        homes = written(seed=seed, unit=unit, units=units, persons=persons, shares=shares, today=today)
        unit_id = own_unit(store, unit_code)
        done = generate(store, unit_id=unit_id, persons=persons, seed=seed, today=today)
        more, known = generate_twice(store, unit_id=unit_id, seed=seed, today=today, households=homes)
    done = done.plus(more)
    if truth is not None:
        write_truth(truth, known)
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
