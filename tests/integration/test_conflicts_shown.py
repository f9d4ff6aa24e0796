"""What `status`, `conflicts list` and `conflicts show` say of one disagreement agrees, and leads to its end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from conflict.case import CaseKind
from syncd.cases import close_cases, open_case
from syncd.cli.conflict_list import left_out, listed, next_of_list, next_one
from syncd.cli.conflict_text import conflict_text
from syncd.cli.place import speak_of
from syncd.cli.status_text import screen
from syncd.clock import instant_of
from syncd.disagreement_names import code_names
from syncd.disagreements import Conflict, Filter, conflict, conflicts
from syncd.errors import UsageError
from syncd.identity.match import match_everybody
from syncd.inputs.codes import load_codes, package_codes
from syncd.proposing import Wish, propose
from syncd.review.desk import Asked
from syncd.review.resolve import resolve, undo
from syncd.review.standing import unsettled_cases, waiting
from syncd.review.verbs import Verb
from syncd.status import status
from syncd.text.command import COMMAND, forget
from tests.integration.registers import DAY_MS, TODAY, Registers, cases, insert, move, person, registers
from tests.trees import TreeBuilder, TreeNode
from tests.unit.cli.test_commands_printed import parsed
from tests.unit.test_language import NOT_OFFICERS

CITIZEN_ID = "042199000123"
RANDOM = Random(7)
HOA = {"full_name": "Nguyễn Thị Hoa", "sex": 2, "birth_date": "1985-03-02"}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registers]:
    monkeypatch.setenv("SYNCD_LANGUAGE", "en")
    made = registers(TreeBuilder(tmp_path))
    yield made
    for node in made.nodes:
        node.store.close()


def decide(
    tree: Registers, at: TreeNode, id_: str, verb: Verb, *settings: str, row: str | None = None
) -> None:  # fmt: skip
    asked = Asked(verb=verb, author="Lê", settings=settings, row=row)
    resolve(at.store, id_, asked, at.node.clock(), RANDOM.randbytes)
    tree.settle()


def take_back(tree: Registers, at: TreeNode, id_: str) -> None:
    undo(at.store, id_, Asked(verb=Verb.LATER, author="Lê"), at.node.clock(), RANDOM.randbytes)
    tree.settle()


def twice(tree: Registers) -> str:
    """The case of one citizen id borne by two, which the district decides."""
    person(tree.a, citizen_id=CITIZEN_ID, full_name="Phạm Ồn")
    person(tree.b, citizen_id=CITIZEN_ID, full_name="Lê Ánh", birth_date="1970-01-01", sex=2)
    tree.settle()
    return cases(tree.district, CaseKind.DUPLICATE_CITIZEN_ID)[0][0]


def stale(tree: Registers) -> str:
    """A wish of the district's about a value that has changed, which A decides."""
    row_id = person(tree.a, full_name="Nguyễn Thị Bưởi")
    tree.settle()
    wished = {"full_name": "Nguyễn Thị Bưởi B"}
    made = Wish(operation="update", table="person", row_id=row_id, unit_code=None, wished=wished, author="huyện",
                reason="thẻ")  # fmt: skip
    done = propose(tree.district.store, made, tree.district.node.clock())
    tree.a.sql("UPDATE person SET full_name = 'Nguyễn Thị Bưởi A' WHERE id = ?", (row_id,))
    tree.settle()
    return done.proposal_id


def fork(at: TreeNode, detail: dict[str, str | int] | None = None) -> str:
    """As a stage notes it when it meets one."""
    if at.value("SELECT count(*) FROM person") == 0:
        person(at)
        at.node.write()
    stream = at.value("SELECT stream_id FROM syncd_stream WHERE own = 1 AND kind = 1")
    with at.store.apply("as received") as tx:
        return open_case(
            tx, CaseKind.FORK, (stream, 3), opened_at=instant_of(at.node.clock()), detail=detail or {"seq": 3},
            stream_id=stream, unit_id=at.unit_id,
        )  # fmt: skip


def found(at: TreeNode, everything: bool = False) -> list[Conflict]:
    with at.store.read() as tx:
        return conflicts(tx, everything)


def shown(at: TreeNode, id_: str) -> str:
    with at.store.read() as tx:
        one = conflict(tx, id_)
        return conflict_text(one, code_names(tx, one))


def list_text(at: TreeNode) -> str:
    with at.store.read() as tx:
        return "\n".join([listed(tx, conflicts(tx)), *left_out(tx)])


def status_text(at: TreeNode) -> str:
    with at.store.read() as tx:
        return screen(status(tx), {}, at.node.clock())


def here(at: TreeNode) -> dict[str, int]:
    with at.store.read() as tx:
        return {each.kind: each.here for each in waiting(tx)}


def test_list_has_the_values_and_the_commands_of_what_this_node_decides(tree: Registers) -> None:
    case, wish = twice(tree), stale(tree)
    at_district, at_a = list_text(tree.district), list_text(tree.a)
    assert any(f"Full name: {both}" in at_district for both in ("Phạm Ồn | Lê Ánh", "Lê Ánh | Phạm Ồn"))  # by id
    assert f"syncd conflicts resolve {case[14:23]} --verdict not-the-same" in at_district
    assert re.search(r"--verdict value --row [0-9a-f]{4}-[0-9a-f]{4} citizen_id=VALUE", at_district)
    assert f"resolve {wish[14:23]}" not in at_district, "the keeper decides"
    assert "Full name: Nguyễn Thị Bưởi A | Nguyễn Thị Bưởi B" in at_a
    for verdict, meaning in (("keep-ours", "what is kept stands"), ("take-theirs", "the wish is carried out")):
        assert re.search(f"syncd conflicts resolve {wish[14:23]} --verdict {verdict} +{meaning}", at_a)


def test_no_screen_of_an_officer_names_columns_or_how_it_is_built(
    tree: Registers, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("SYNCD_LANGUAGE", "vi")
    for _ in range(3):
        insert(tree.a, "household", number="12", kind="family")
    case, wish = twice(tree), stale(tree)
    [alike] = [found[0] for found in cases(tree.a, CaseKind.DUPLICATE_HOUSEHOLD_NO)]
    at_district, at_a, both = list_text(tree.district), list_text(tree.a), shown(tree.district, case)
    screens = [at_district, at_a, both, shown(tree.a, alike), shown(tree.a, wish), status_text(tree.district)]
    for text in screens:
        said = re.sub(r"syncd \w[^;\n]*", "", text)  # commands keep their words
        assert not NOT_OFFICERS.search(said), said
        assert not re.search(r"\b[a-z]+_[a-z_]+\b", said), said
    assert "Trùng số hộ: 12" in at_a
    assert "Phạm Ồn" in at_district
    assert re.search(r"Ngày sinh ≠ .*01/01/1970", both)
    assert re.search(r"Giới tính ≠ .*nữ", both)
    assert "Họ và tên: Nguyễn Thị Bưởi A | Nguyễn Thị Bưởi B" in at_a


def test_every_command_of_a_screen_runs_as_it_stands_at_a_node_named_by_its_directory(tree: Registers) -> None:
    case, wish = twice(tree), stale(tree)
    move(tree.c, person(tree.c), "arrival", TODAY)
    tree.later(91)
    place = Path("/srv/a b")
    speak_of(place)
    try:
        with tree.district.store.read() as tx:
            told = [next_one(tx), next_of_list(conflicts(tx))]
        for node in tree.nodes:
            told += [list_text(node), status_text(node), *(shown(node, each.id) for each in found(node, True))]
        decide(tree, tree.district, case, Verb.NOT_THE_SAME)
        told += [shown(tree.district, case), shown(tree.district, wish), list_text(tree.district)]
    finally:
        forget()
    lines = [line.partition("   ")[0] for text in told for line in COMMAND.findall(text)]
    assert {line.split()[2] for line in lines} >= {"list", "show", "resolve", "undo"}
    assert {line: parsed(line)["directory"] for line in lines} == dict.fromkeys(lines, place)


def test_what_is_settled_is_counted_and_not_listed(tree: Registers) -> None:
    wish = stale(tree)
    decide(tree, tree.a, wish, Verb.KEEP_OURS)
    for node in (tree.a, tree.district, tree.province):
        assert found(node) == []
        assert [each.id for each in found(node, True)] == [wish]
        with node.store.read() as tx:
            assert left_out(tx) == ["1 are settled, or one side lost: syncd conflicts list --all"]


def test_a_settled_case_is_not_settled_again_and_undo_gives_the_state_of_before(tree: Registers) -> None:
    case = twice(tree)
    decide(tree, tree.district, case, Verb.NOT_THE_SAME)
    said = tree.district.value("SELECT count(*) FROM resolution")
    decide(tree, tree.district, case, Verb.NOT_THE_SAME)  # the same word again: whoever gave it was not told
    assert tree.district.value("SELECT count(*) FROM resolution") == said
    for verb in (Verb.SAME_PERSON, Verb.LATER):
        with pytest.raises(UsageError, match=f"syncd conflicts undo {case}"):
            decide(tree, tree.district, case, verb)
    take_back(tree, tree.district, case)
    assert tree.district.rows("SELECT state FROM person_link") == []
    assert tree.a.rows("SELECT state FROM person_link") == []
    assert here(tree.district) == {CaseKind.DUPLICATE_CITIZEN_ID: 1}
    decide(tree, tree.district, case, Verb.SAME_PERSON)
    assert tree.a.rows("SELECT state FROM person_link") == [("linked",)]


def test_show_tells_every_word_that_was_said_what_it_wrote_and_what_stands_now(tree: Registers) -> None:
    wish = stale(tree)
    decide(tree, tree.a, wish, Verb.LATER)
    decide(tree, tree.a, wish, Verb.VALUE, "full_name=Nguyễn Thị C")
    third = re.escape("Full name: Nguyễn Thị Bưởi A → Nguyễn Thị C")
    for node in (tree.a, tree.district):
        text = shown(node, wish)
        assert re.search(r"said +put off · Lê", text)
        assert re.search(rf"said +another value is written · {third} · Lê", text)
        assert re.search(r"\n  Full name .*Nguyễn Thị C +another value", text), "neither kept nor taken"
    take_back(tree, tree.a, wish)
    with pytest.raises(UsageError, match="no person's decision"):
        take_back(tree, tree.a, wish)  # what was put off before is no decision, and C is not written again
    decide(tree, tree.a, wish, Verb.KEEP_OURS)
    for node in (tree.a, tree.district, tree.province):
        said = re.findall(r"  said +(.+)", shown(node, wish))
        assert [line.partition(" · ")[0] for line in said] == [
            "Proposal waits for a person", "put off", "another value is written",
            "taken back: another value is written", "what was kept stands",
        ]  # fmt: skip
        assert re.search(r"\n  Full name .*Nguyễn Thị Bưởi A +kept", shown(node, wish))


def test_show_tells_what_was_decided_of_a_case_and_taken_back_and_who_may_take_it_back(tree: Registers) -> None:
    case = twice(tree)
    decide(tree, tree.district, case, Verb.NOT_THE_SAME)
    assert f"syncd conflicts undo {case[14:23]}" in shown(tree.district, case)
    assert "undo" not in shown(tree.a, case), "it was decided elsewhere"
    take_back(tree, tree.district, case)
    decide(tree, tree.district, case, Verb.SAME_PERSON)
    for node in (tree.district, tree.a):
        said = [line.partition(" · ")[0] for line in re.findall(r"  said +(.+)", shown(node, case))]
        assert said == ["not the same", "taken back: not the same", "the same"]


def test_an_answer_is_given_once(tree: Registers) -> None:
    case = twice(tree)
    decide(tree, tree.district, case, Verb.ASK_COMMUNE)
    decide(tree, tree.a, case, Verb.KEEP_OURS)
    with pytest.raises(UsageError, match="undo"):
        decide(tree, tree.a, case, Verb.KEEP_OURS)
    take_back(tree, tree.a, case)
    decide(tree, tree.a, case, Verb.KEEP_OURS)
    assert here(tree.a) == {}


def test_undo_leaves_a_proposed_pair_to_be_found_again(tree: Registers) -> None:
    person(tree.a, **HOA)
    person(tree.b, **HOA)
    tree.settle()
    match_everybody(tree.district.store, f"{TODAY}T00:00:00.000Z", Random(1).randbytes)
    links = "SELECT state, method FROM person_link ORDER BY id"
    before = tree.district.rows(links)
    assert before == [("proposed", "score")] * 2
    case = cases(tree.district, CaseKind.DUPLICATE_PERSON)[0][0]
    decide(tree, tree.district, case, Verb.NOT_THE_SAME)
    assert tree.district.rows(links) == [("unlinked", "person")] * 2
    take_back(tree, tree.district, case)
    assert tree.district.rows(links) == before
    assert here(tree.district) == {CaseKind.DUPLICATE_PERSON: 1}


def test_who_asked_may_decide_and_every_commune_asked_is_named(tree: Registers) -> None:
    case = twice(tree)
    decide(tree, tree.district, case, Verb.ASK_COMMUNE)
    assert here(tree.district) == {CaseKind.DUPLICATE_CITIZEN_ID: 1}
    assert "this node decides 1" in status_text(tree.district)
    text = shown(tree.district, case)
    assert re.search(r"asked of +a, b\n", text)
    assert text.count("asked of") == 1
    assert text.count("asked the unit") == 1, "two rows, one decision"
    assert f"resolve {case[14:23]} --verdict not-the-same" in text
    assert "only looks on" not in text
    assert "this node; asked a, b" in list_text(tree.district)
    decide(tree, tree.a, case, Verb.KEEP_OURS)
    assert re.search(r"asked of +b\n", shown(tree.district, case))
    decide(tree, tree.district, case, Verb.NOT_THE_SAME)
    assert here(tree.district) == {}
    assert here(tree.b) == {}


def test_a_fork_is_closed_by_what_was_done_and_opens_again(tree: Registers) -> None:
    case = fork(tree.a)
    text = shown(tree.a, case)
    assert "switch the other one off" in text
    assert "syncd propose list --all" in text
    assert f"syncd conflicts resolve {case[14:23]} --verdict done" in text
    decide(tree, tree.a, case, Verb.DONE)
    with tree.a.store.read() as tx:
        assert unsettled_cases(tx) == 0
    assert found(tree.a) == []
    assert fork(tree.a) == case
    with tree.a.store.read() as tx:
        assert unsettled_cases(tx) == 1
    assert [each.id for each in found(tree.a)] == [case]
    decide(tree, tree.a, case, Verb.DONE)
    take_back(tree, tree.a, case)
    assert here(tree.a) == {CaseKind.FORK: 1}


def test_a_case_that_was_put_off_and_ended_by_itself_asks_nobody(tree: Registers) -> None:
    case = fork(tree.a)
    decide(tree, tree.a, case, Verb.LATER)
    assert [each.state for each in found(tree.a)] == ["later"]
    stream = tree.a.value("SELECT stream_id FROM syncd_case")
    with tree.a.store.apply("rejoined") as tx:
        close_cases(tx, CaseKind.FORK, stream, instant_of(tree.a.node.clock()))
    assert [each.state for each in found(tree.a, True)] == ["settled"]
    for node in tree.nodes:
        assert found(node) == []
        for each in found(node, True):
            assert each.asked == ()
            assert "{}" not in shown(node, each.id)


def test_a_change_of_the_other_machine_that_was_kept_aside_is_told_and_can_be_closed(tree: Registers) -> None:
    case = fork(tree.a, {"table": "person", "wished": "update"})
    text = shown(tree.a, case)
    assert "could not be written down by itself" in text
    assert "syncd_wish" in text
    assert f"{case[14:23]} --verdict done" in text


def test_late_writes_name_adopt_and_what_was_typed_too_late_can_be_closed(tree: Registers) -> None:
    stream = "5f3a0c11-0000-4000-8000-0000000000aa"
    with tree.a.store.apply("as received") as tx:
        late = open_case(
            tx, CaseKind.WRITES_BEYOND_TERM, (stream,), opened_at=instant_of(tree.a.node.clock()),
            detail={"stream_id": stream, "first_seq": 3}, stream_id=stream, unit_id=tree.a.unit_id,
        )  # fmt: skip
        typed = open_case(
            tx, CaseKind.WRITES_BEYOND_TERM, (tree.a.unit_id, "me", "row"), opened_at=instant_of(tree.a.node.clock()),
            detail={"rows": "person:row", "count": 1}, unit_id=tree.a.unit_id,
        )  # fmt: skip
    for text in (shown(tree.a, late), list_text(tree.a)):
        assert re.search(r"  syncd adopt 5f3a0c11 +make proposals", text)
    assert f"{late[14:23]} --verdict done" not in shown(tree.a, late)
    with pytest.raises(UsageError, match="later"):
        decide(tree, tree.a, late, Verb.DONE)
    assert "person:row" in shown(tree.a, typed)
    decide(tree, tree.a, typed, Verb.DONE)
    assert here(tree.a) == {CaseKind.WRITES_BEYOND_TERM: 1}


def test_moves_are_a_list_of_their_own_and_only_after_90_days(tree: Registers) -> None:
    move(tree.c, person(tree.c), "arrival", TODAY)
    tree.settle()
    tree.later(89)
    assert "arrival" not in status_text(tree.province).lower()
    tree.builder.clock.now_ms += DAY_MS
    tree.later(1)
    twice(tree)
    assert found(tree.province) == []
    text = status_text(tree.province)
    assert "this node decides" not in text
    assert "without their other end after 90 days 1: Arrival without departure 1" in text
    assert "→ syncd conflicts list --kind arrival_without_departure" in text
    with tree.province.store.read() as tx:
        [line] = left_out(tx)
        assert line.endswith("syncd conflicts list --kind arrival_without_departure")
        [one] = conflicts(tx, wanted=Filter(kind=CaseKind.ARRIVAL_WITHOUT_DEPARTURE))
    assert one.decides_here


def test_status_counts_what_this_node_decides_and_cuts_nothing(tree: Registers) -> None:
    twice(tree)
    stale(tree)
    for text in (status_text(tree.district), status_text(tree.province)):
        assert "…" not in text
    assert re.search(r"this node decides 1: Same citizen id twice 1 \([^)]*\) → syncd", status_text(tree.district))
    assert re.search(r"other nodes decide 1: Proposal based on a value that has changed since 1 \(",
                     status_text(tree.district))  # fmt: skip
    assert "this node decides" not in status_text(tree.province)


def test_show_says_codes_with_names_a_household_by_its_number_and_marks_what_differs(tree: Registers) -> None:
    tree.province.sql("INSERT INTO code_list (name, version, title) VALUES ('education', 1, 'x')")
    tree.province.sql("INSERT INTO code (list_name, version, code, name) VALUES ('education', 1, '06', 'Trung học')")
    tree.settle()
    home = insert(tree.a, "household", number="12", kind="family")
    person(tree.a, citizen_id=CITIZEN_ID, household_id=home, education="06")
    person(tree.b, citizen_id=CITIZEN_ID, full_name="Lê Ánh", birth_date="1970-01-01", sex=2)
    tree.settle()
    case = cases(tree.district, CaseKind.DUPLICATE_CITIZEN_ID)[0][0]
    text = shown(tree.district, case)
    row_id = str(tree.a.value("SELECT id FROM person"))
    with pytest.raises(UsageError, match="is not in the code list Education"):
        decide(tree, tree.district, case, Verb.VALUE, "education=99", row=row_id)
    assert re.search(r"Household ≠ +12\b", text)
    assert "06 Trung học" in text
    assert re.search(r"Full name ≠ ", text)
    assert not re.search(r"Citizen id ≠", text)


def test_nobody_has_decided_what_waits(tree: Registers) -> None:
    wish = stale(tree)
    for node in (tree.a, tree.district):
        assert "decided by" not in shown(node, wish)
    decide(tree, tree.a, wish, Verb.KEEP_OURS)
    assert re.search(r"decided by +Lê", shown(tree.district, wish))


def test_after_a_decision_the_next_one_is_named_with_its_commands(tree: Registers) -> None:
    wish = stale(tree)
    with tree.a.store.read() as tx:
        text = next_one(tx)
    assert "1 more wait for this node" in text
    assert f"syncd conflicts resolve {wish[14:23]} --verdict keep-ours" in text
    decide(tree, tree.a, wish, Verb.KEEP_OURS)
    with tree.a.store.read() as tx:
        assert next_one(tx) == "Nothing more waits for this node."


def test_a_code_that_no_list_has_is_shown_with_its_column_and_list(tree: Registers) -> None:
    with tree.province.store.write("test") as tx:
        load_codes(tx, package_codes())
    tree.settle()
    person(tree.a, education="99", relation="88")
    tree.settle()
    texts = [shown(tree.a, case) for case, _, _ in cases(tree.a, CaseKind.RULE_VIOLATED)]
    for column, code in (("Education", "99"), ("Relation to the head", "88")):
        assert any(re.search(rf"column +{column}\n +code +{code}\n +list +\S", text) for text in texts), texts
