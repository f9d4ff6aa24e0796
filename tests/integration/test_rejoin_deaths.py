"""A restored node whose process dies at any commit of its way back: nothing is lost, nothing is doubled (I8, I13)."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.integration.copies import assert_equal, copy_of, names
from tests.integration.shapes import ThreeTiers, add_household, add_person, three_tiers
from tests.sim.template import Template
from tests.trees import TestClock, TreeBuilder, built, close


class _Died(BaseException):
    """The process of the restored node dies here."""


def _prepared(folder: Path) -> Template:
    """A commune whose older copy was put back, typed into and sealed, beside neighbours that know more."""
    builder = TreeBuilder(folder)
    tiers = three_tiers(builder)
    household = add_household(tiers.commune, "1")
    shared = add_person(tiers.commune, household, full_name="Chung", phone="1")
    tiers.prove()
    yesterday = copy_of(tiers.commune)
    add_person(tiers.commune, household, full_name="Hôm nay", birth_date="1961-01-01")
    tiers.commune.sql("UPDATE person SET education = '05' WHERE id = ?", (shared,))
    tiers.settle()
    yesterday.put_back()
    other = add_household(tiers.commune, "2")
    add_person(tiers.commune, other, full_name="Gõ lại", birth_date="2001-02-03", sex=2)
    tiers.commune.sql("UPDATE person SET phone = '2' WHERE id = ?", (shared,))
    tiers.commune.node.write()
    add_person(tiers.commune, other, full_name="Chưa ghi", birth_date="1944-02-03", sex=1)
    close()
    return Template(folder=folder, nodes=tuple(builder.nodes))


def _run(template: Template, folder: Path, failpoint: Callable[[str], None]) -> ThreeTiers:
    """The way back; whenever the commune's process dies, a new one goes on."""
    folder.mkdir()
    source, clock = random.Random(1), TestClock()
    province, district, commune = template.copy(
        folder, lambda _name: clock, source, lambda name: failpoint if name == "commune" else lambda _point: None
    )
    tiers = ThreeTiers(builder=TreeBuilder(folder), province=province, district=district, commune=commune)
    tiers.builder.nodes += [province, district, commune]
    built.extend(tiers.nodes)
    for _ in range(40):
        try:
            tiers.settle()
        except _Died:
            commune.reopen()
        else:
            return tiers
    raise AssertionError("still dying")


def test_death_at_any_commit_of_the_way_back_loses_and_doubles_nothing(tmp_path: Path) -> None:
    template = _prepared(tmp_path)
    points: list[str] = []
    reference = _run(template, tmp_path / "reference", points.append)
    wanted = _outcome(reference)
    assert {"Chung", "Hôm nay", "Gõ lại", "Chưa ghi"} == names(reference.province)
    close()
    chosen = [point for point in dict.fromkeys(points) if not point.endswith(":begin")]
    assert {"rejoin-begin", "rejoin", "rejoined", "wishes"} <= {point.partition(":")[0] for point in chosen}
    for number, chosen_point in enumerate(chosen):
        left = [1]

        def die(point: str, chosen_point: str = chosen_point, left: list[int] = left) -> None:
            if point == chosen_point and left[0]:
                left[0] -= 1
                raise _Died(point)

        found = _run(template, tmp_path / str(number), die)
        assert not left[0], chosen_point
        assert _outcome(found) == wanted, chosen_point
        assert_equal(found)
        close()


def _outcome(tiers: ThreeTiers) -> list[list[tuple[object, ...]]]:
    """What a person sees at the end: the register, and what became of each wish."""
    return [
        tiers.province.rows("SELECT id, number FROM household ORDER BY id"),
        tiers.province.rows("SELECT id, full_name, phone, education FROM person ORDER BY id"),
        tiers.province.rows(
            "SELECT p.row_id, p.operation, p.wished, v.outcome FROM proposal AS p"
            " LEFT JOIN verdict AS v ON v.proposal_id = p.id ORDER BY p.row_id, p.operation"
        ),
    ]
