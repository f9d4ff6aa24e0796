"""Moves seen from both ends, and one person counted once at every date."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from conflict.identity_moves import Move, Stay, correction_at, counting_unit, pair_moves


def move(id: str, person: str, unit: str, direction: str, on: str) -> Move:
    return Move(id=id, person_id=person, unit_id=unit, direction=direction, moved_on=on)


LEFT = move("d1", "a", "A", "departure", "2026-03-01")
CAME = move("a1", "b", "B", "arrival", "2026-03-10")


def test_a_departure_finds_the_arrival_of_the_linked_row() -> None:
    for pair in (("a", "b"), ("b", "a")):
        found = pair_moves([CAME, LEFT], [pair])
        assert [(each.departure, each.arrival) for each in found.paired] == [(LEFT, CAME)]
        assert (found.departures, found.arrivals) == ((), ())


def test_rows_that_are_not_linked_stay_alone() -> None:
    found = pair_moves([LEFT, CAME], [])
    assert (found.paired, found.departures, found.arrivals) == ((), (LEFT,), (CAME,))


def test_the_nearest_arrival_is_taken_and_each_once() -> None:
    later = move("a2", "b", "B", "arrival", "2026-06-01")
    back = move("d2", "b", "B", "departure", "2026-05-01")
    found = pair_moves([LEFT, later, CAME, back], [("a", "b"), ("b", "a")])
    assert [(each.departure.id, each.arrival.id) for each in found.paired] == [("d1", "a1")]
    assert (found.departures, found.arrivals) == ((back,), (later,))


def test_who_moves_away_and_back_has_two_moves() -> None:
    left_again = move("d2", "b", "B", "departure", "2027-03-01")
    came_back = move("a2", "a", "A", "arrival", "2027-03-05")
    found = pair_moves([LEFT, CAME, left_again, came_back], [("a", "b")])
    assert [(each.departure, each.arrival) for each in found.paired] == [(left_again, came_back), (LEFT, CAME)]
    assert (found.departures, found.arrivals) == ((), ())


def test_an_arrival_is_looked_for_within_a_year() -> None:
    for on, count in (("2027-03-01", 1), ("2027-03-02", 0)):
        assert len(pair_moves([LEFT, move("x", "b", "B", "arrival", on)], [("a", "b")]).paired) == count


def test_ends_in_one_unit_of_one_direction_or_years_apart_are_no_move() -> None:
    for other in (
        move("x", "b", "A", "arrival", "2026-03-10"),
        move("x", "b", "B", "departure", "2026-03-10"),
        move("x", "b", "B", "arrival", "2028-03-10"),
    ):
        assert pair_moves([LEFT, other], [("a", "b")]).paired == ()


days = st.dates(min_value=date(2024, 1, 1), max_value=date(2026, 12, 31)).map(date.isoformat)
moves = st.lists(
    st.builds(move, st.uuids().map(str), st.sampled_from("abcd"), st.sampled_from("ABC"),
              st.sampled_from(("departure", "arrival")), days),
    max_size=8, unique_by=lambda each: each.id,
)  # fmt: skip


@given(moves, st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), max_size=4), st.randoms())
def test_every_end_is_used_once_in_whatever_order(
    ends: list[Move], linked: list[tuple[str, str]], random: object
) -> None:
    found = pair_moves(ends, linked)
    used = [each.id for pair in found.paired for each in (pair.departure, pair.arrival)]
    used += [each.id for each in (*found.departures, *found.arrivals)]
    assert sorted(used) == sorted(each.id for each in ends)
    assert pair_moves(ends[::-1], [(other, one) for one, other in linked]) == found


def test_a_gap_between_departure_and_arrival_still_counts_one() -> None:
    stays = [Stay(unit_id="A", until="2026-03-01"), Stay(unit_id="B", since="2026-03-10")]
    assert [correction_at(stays, on) for on in ("2026-02-28", "2026-03-01", "2026-03-09", "2026-03-10")] == [0, 1, 1, 0]
    days = ("2026-02-28", "2026-03-01", "2026-03-05", "2026-03-10")
    assert [counting_unit(stays, on) for on in days] == ["A", "A", "A", "B"]


def test_between_stays_the_unit_left_last_counts() -> None:
    coming = Stay(unit_id="D", since="2026-05-01")
    left = [Stay(unit_id="B", until="2026-02-01"), Stay(unit_id="A", until="2026-03-01")]
    for stays in ([*left, coming], [coming, *left[::-1]]):
        assert counting_unit(stays, "2026-04-01") == "A"
    left_at_once = [Stay(unit_id=unit, until="2026-03-01") for unit in "CAB"]
    assert counting_unit([*left_at_once, coming], "2026-04-01") == "C"


def test_a_stay_that_ends_on_its_first_day_counts_nobody() -> None:
    stays = [Stay(unit_id="A", until="2026-03-01"), Stay(unit_id="B", since="2026-03-10", until="2026-03-10")]
    assert [correction_at(stays, on) for on in ("2026-03-09", "2026-03-10", "2026-03-11")] == [1, 0, 0]


def test_an_arrival_before_the_departure_counts_one() -> None:
    stays = [Stay(unit_id="A", until="2026-03-10"), Stay(unit_id="B", since="2026-03-01")]
    assert [correction_at(stays, on) for on in ("2026-02-28", "2026-03-05", "2026-03-10")] == [0, -1, 0]
    assert counting_unit(stays, "2026-03-05") == "B"


def test_before_the_first_and_after_the_last_stay_nobody_is_counted() -> None:
    stays = [Stay(unit_id="A", since="2026-03-01", until="2026-04-01")]
    for on in ("2026-02-28", "2026-04-01"):
        assert correction_at(stays, on) == 0
        assert counting_unit(stays, on) is None


stays = st.lists(
    st.builds(lambda unit, since, days: Stay(unit_id=unit, since=since, until=_after(since, days)),
              st.sampled_from("ABC"), days, st.none() | st.integers(min_value=1, max_value=400)),
    min_size=1, max_size=4,
)  # fmt: skip


def _after(day: str, days: int | None) -> str | None:
    return None if days is None else (date.fromisoformat(day) + timedelta(days)).isoformat()


@given(stays, days)
def test_one_person_is_one_at_every_date_of_a_life(rows: list[Stay], on: str) -> None:
    first = min(each.since or "" for each in rows)
    last = max(each.until or "9999" for each in rows)
    counted = sum(each.covers(on) for each in rows) + correction_at(rows, on)
    assert counted == (1 if first <= on < last else 0)
    assert (counting_unit(rows, on) is None) == (counted == 0)
