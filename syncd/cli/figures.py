"""`syncd figures`: population and monthly flows of units, from the aggregate cells alone.

Enters: a unit's code, a month. Leaves: one screen or one JSON document; how complete it is belongs to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from syncd.cli.output import BOLD, emit, emit_json, paint
from syncd.cli.verb import directory_option, json_option, option, verb
from syncd.language import Both, language
from syncd.text import escaped

if TYPE_CHECKING:
    from syncd.store.base import Tx


@verb(
    Both(
        "Số liệu tổng hợp: dân số, sinh, chết, chuyển đi đến của một đơn vị và các đơn vị bên dưới.",
        "Figures: population, births, deaths and moves of a unit and of all units below it.",
    ),
    "syncd figures --unit 439 --period 2026-11",
)
@option(
    "--unit",
    "unit_code",
    metavar="CODE",
    vi="Mã đơn vị (mặc định: đơn vị của máy).",
    en="The unit's code (default: the node's own).",
)
@option(
    "--period",
    metavar="YYYY-MM",
    default=None,
    vi="Tháng (mặc định: tháng này theo giờ Việt Nam).",
    en="The month (default: this one in Vietnam).",
)
@directory_option
@json_option
def command(unit_code: str | None, period: str | None, directory: Path | None, as_json: bool) -> None:
    from syncd.cli.place import opened_store
    from syncd.clock import system_clock
    from syncd.inputs.figures import figures, month_of

    with opened_store(directory) as store, store.read() as tx:
        month = period or month_of(system_clock())
        unit_id, name = _unit(tx, unit_code)
        found = figures(tx, store.registry, [unit_id], month)
    if as_json:
        emit_json({"unit": name, **found.to_json()})
        return
    from syncd.inputs.figures_text import figures_text

    emit(paint(escaped.line(name), BOLD))
    emit(figures_text(escaped.tree(found), language()))


def _unit(tx: Tx, code: str | None) -> tuple[str, str]:
    from syncd.cli.place import no_unit

    if code is None:
        facts: dict[str, str] = dict(tx.all("SELECT key, value FROM syncd_meta"))
        return facts["unit_id"], f"{facts['unit_code']} {facts['unit_name']}"
    rows = tx.all(
        "SELECT id, code, name FROM unit WHERE code = ? OR CAST(id AS text) = ? ORDER BY valid_to IS NULL DESC",
        (code, code),
    )
    current = [row for row in rows if len(rows) == 1 or row[0] == rows[0][0]]
    if not current:
        raise no_unit(code)
    return str(current[0][0]), f"{current[0][1]} {current[0][2]}"
