"""A disagreement told to an officer who has never heard of replication: what it is, what holds meanwhile, what to do.

Enters: kinds, verdicts, rules by code. Leaves: sentences, Vietnamese first. Must hold: every kind and every verdict has
its sentence (`tests/unit/test_review_words.py`); nothing here depends on a record's value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from conflict.case import CaseKind
from syncd.inputs.text import plain
from syncd.language import Both, language
from syncd.review.verbs import Verb

_APART = re.compile(r"[^a-z0-9]+")


def kind_of(text: str) -> str | None:
    """The kind that an operator names: by its word, or by its title in either language, with or without the marks of
    letters, or by a beginning that only one title has."""
    wanted = _dashed(text)
    by_name = {name: kind.value for kind in CaseKind for name in map(_dashed, (kind, kind.title_vi, kind.title_en))}
    if not wanted or wanted in by_name:
        return by_name.get(wanted)
    begun = {kind for name, kind in by_name.items() if name.startswith(wanted)}
    return begun.pop() if len(begun) == 1 else None


def kind_names() -> list[str]:
    """Every kind as `--kind` takes it, in the operator's language."""
    return [_dashed(kind.title_vi) if language() == "vi" else kind.value for kind in CaseKind]


def _dashed(text: str) -> str:
    return _APART.sub("-", plain(text)).strip("-")


# What it is, and what holds until somebody decides.
EXPLAINED: Mapping[str, Both] = {
    CaseKind.STALE_PROPOSAL: Both(
        "Có đề nghị sửa, nhưng giá trị đã đổi từ khi người đề nghị xem. Bản đang giữ đứng cho tới khi có người quyết.",
        "A change was proposed, but the value has changed since its author looked. The kept value stands meanwhile.",
    ),
    CaseKind.WISH_ON_DELETED_ROW: Both(
        "Có đề nghị sửa một bản ghi đã bị xóa. Bản ghi vẫn ở trạng thái đã xóa.",
        "A change was proposed of a row that was deleted. It stays deleted.",
    ),
    CaseKind.DELETE_PROPOSED: Both(
        "Có đề nghị xóa bản ghi này. Bản ghi còn nguyên cho tới khi có người quyết.",
        "The deletion of this row was proposed. It stays as it is meanwhile.",
    ),
    CaseKind.INSERT_RESEMBLES: Both(
        "Có đề nghị thêm một bản ghi giống bản ghi đã có. Chưa có gì được thêm.",
        "A new row was proposed that resembles one already kept. Nothing was added yet.",
    ),
    CaseKind.DUPLICATE_CITIZEN_ID: Both(
        "Hai bản ghi cùng một số định danh: một người ghi hai lần, hoặc một số bị gõ sai. Cả hai đang được đếm.",
        "Two rows bear one citizen id: one person twice, or one number mistyped. Both are counted meanwhile.",
    ),
    CaseKind.DUPLICATE_INSURANCE_NO: Both(
        "Hai bản ghi cùng một mã bảo hiểm: một người ghi hai lần, hoặc một mã bị gõ sai. Cả hai đang được đếm.",
        "Two rows bear one insurance number: one person twice, or one number mistyped. Both are counted meanwhile.",
    ),
    CaseKind.DUPLICATE_HOUSEHOLD_NO: Both(
        "Hai hộ của một đơn vị mang cùng số hộ. Cả hai đang được giữ.",
        "Two households of one unit bear one number. Both are kept meanwhile.",
    ),
    CaseKind.DUPLICATE_PERSON: Both(
        "Hai bản ghi rất giống nhau, có thể là một người. Cả hai đang được đếm.",
        "Two rows are much alike and may be one person. Both are counted meanwhile.",
    ),
    CaseKind.TWIN_EVENT: Both(
        "Hai bản ghi có vẻ là một sự kiện (cùng người, cách nhau không quá 7 ngày). Cả hai đang được đếm.",
        "Two records seem to be one event (the same person, within 7 days). Both are counted meanwhile.",
    ),
    CaseKind.DEPARTURE_WITHOUT_ARRIVAL: Both(
        "Đã ghi chuyển đi quá 90 ngày mà chưa nơi nào ghi chuyển đến.",
        "A departure was recorded over 90 days ago and no arrival anywhere.",
    ),
    CaseKind.ARRIVAL_WITHOUT_DEPARTURE: Both(
        "Đã ghi chuyển đến quá 90 ngày mà nơi cũ chưa ghi chuyển đi.",
        "An arrival was recorded over 90 days ago and no departure from where the person came.",
    ),
    CaseKind.UNRESOLVED_REFERENCE: Both(
        "Bản ghi nói đến một người không có trong sổ nào ở đây. Bản ghi vẫn được giữ như đã nhập.",
        "A row names a person who is in no register here. The row is kept as typed.",
    ),
    CaseKind.RULE_VIOLATED: Both(
        "Các bản ghi mâu thuẫn với nhau. Tất cả vẫn được giữ như đã nhập.",
        "Rows contradict each other. All are kept as typed.",
    ),
    CaseKind.FORK: Both(
        "Hai máy mang cùng một chìa khóa đã cùng ghi (đĩa bị nhân bản, hoặc máy cũ được bật lại).",
        "Two machines with one key have both written (a cloned disk, or an old machine that was switched on again).",
    ),
    CaseKind.WRITES_BEYOND_TERM: Both(
        "Máy cũ còn ghi sau khi sổ đã bàn giao. Những gì nó ghi đang cất riêng, chưa vào sổ.",
        "The old machine wrote after the register was handed over. What it wrote is put aside, not in the register.",
    ),
    CaseKind.CLOCK_FAR_OFF: Both(
        "Đồng hồ của máy này lệch hơn một ngày so với cấp trên. Sửa đổi có tranh chấp chờ người xem.",
        "This machine's clock is more than a day off its parent's. Disputed changes wait for a person meanwhile.",
    ),
    CaseKind.CHECKPOINT_MISMATCH: Both(
        "Bản sao ở đây khác bản của đơn vị giữ sổ. Bản của đơn vị giữ sổ là bản đúng.",
        "The copy here differs from the keeper's. The keeper's is the right one.",
    ),
    CaseKind.DUTY_STOPPED: Both(
        "Một việc của máy này gặp lỗi và đã dừng riêng. Các việc khác vẫn chạy; máy tự thử lại.",
        "One of this node's duties failed and has stopped alone. The others go on; it is tried again by itself.",
    ),
}
RULES: Mapping[str, Both] = {
    "mother_not_female": Both("người mẹ trong bản ghi sinh không phải nữ", "the mother of a birth is not female"),
    "mother_age": Both("tuổi mẹ khi sinh ngoài khoảng 10–55", "the mother's age at the birth is outside 10–55"),
    "unknown_code": Both(
        "mã không có trong danh mục; số liệu đếm riêng mã này, không gộp vào nhóm nào",
        "a code that is not in its list; figures count it apart, in no group",
    ),
    "date_ahead": Both("ngày còn ở tương lai", "a day that is still to come"),
    "date_long_ago": Both(
        "năm quá xa trong quá khứ: có thể sai một chữ số", "a year too long ago: a digit may be wrong"
    ),
    "births_too_close": Both(
        "hai lần sinh của một người mẹ cách nhau chưa tới 7 tháng", "two births of one mother less than 7 months apart"
    ),
    "child_sex": Both("giới tính của con khác bản ghi sinh", "the child's sex differs from the birth record"),
    "child_birth_date": Both("ngày sinh của con khác bản ghi sinh", "the child's date differs from the birth record"),
    "death_before_birth": Both("ngày chết trước ngày sinh", "the death is before the birth"),
    "deceased_without_death": Both(
        "ghi là đã chết nhưng không có bản ghi chết", "marked as deceased, yet there is no death record"
    ),
    "death_not_marked": Both(
        "có bản ghi chết nhưng người này chưa ghi là đã chết", "a death is recorded, yet the person is not marked so"
    ),
    "departed_without_departure": Both(
        "ghi là đã chuyển đi nhưng không có bản ghi chuyển đi", "marked as departed, yet there is no departure record"
    ),
}
# What a verdict does: of a review, then of a case.
OF_REVIEW: Mapping[str, Both] = {
    Verb.KEEP_OURS: Both("giữ bản đang có; đề nghị bị từ chối", "what is kept stands; the wish is rejected"),
    Verb.TAKE_THEIRS: Both("nhận đề nghị", "the wish is carried out"),
    Verb.VALUE: Both("ghi giá trị khác", "another value is written"),
    Verb.SAME_PERSON: Both("là người đã có: không thêm", "it is the one already kept: nothing is added"),
    Verb.NOT_THE_SAME: Both("là người khác: thêm bản ghi", "it is somebody else: the row is added"),
    Verb.LATER: Both("để sau", "put it off"),
}
OF_CASE: Mapping[str, Both] = {
    Verb.KEEP_OURS: Both("đúng như đã ghi", "it is right as it stands"),
    Verb.VALUE: Both("sửa giá trị (đơn vị khác giữ thì gửi đề nghị)", "correct a value (elsewhere: it is proposed)"),
    Verb.SAME_PERSON: Both("là một người: liên kết hai bản ghi", "one person: the two rows are linked"),
    Verb.NOT_THE_SAME: Both("là hai người khác nhau", "they are two"),
    Verb.ASK_COMMUNE: Both("hỏi đơn vị giữ bản ghi", "ask whoever keeps the row"),
    Verb.TAKE_THEIRS: Both(
        "nhận nhánh mà máy dưới đang giữ; những gì máy này đã ghi sau đó trở lại thành thay đổi ghi sau nhánh ấy",
        "the branch that the node below holds is taken in; what was written here since is written again behind it",
    ),
    Verb.DONE: Both("đã làm việc cần làm ở trên: đóng vụ việc", "what is to be done above is done: the case is closed"),
    Verb.LATER: Both("để sau", "put it off"),
}
ADOPT = Both("đưa những gì đã ghi thành đề nghị gửi nơi giữ mới", "make proposals to the new keeper of it")
OF_EVENT = Both("là một sự kiện: bỏ bản ghi sau", "one event: the later record goes")
OF_EVENTS = Both("là hai sự kiện khác nhau", "they are two events")
OF_MOVE = Both("khớp với đầu kia của lần chuyển", "match it with the other end of the move")
OF_QUESTION: Mapping[str, Both] = {
    Verb.KEEP_OURS: Both("trả lời: bản ghi của ta đúng", "answer: our row is right"),
    Verb.VALUE: Both("trả lời: ta sửa giá trị", "answer: we correct a value"),
}
SAID: Mapping[str, Both] = {
    **OF_CASE,
    Verb.KEEP_OURS: Both("đúng như đã ghi", "right as it stands"),
    Verb.SAME_PERSON: Both("là một", "the same"),
    Verb.NOT_THE_SAME: Both("không phải là một", "not the same"),
    Verb.ASK_COMMUNE: Both("hỏi đơn vị", "asked the unit"),
    Verb.TAKE_THEIRS: Both("nhận nhánh kia", "the other branch is taken in"),
    Verb.DONE: Both("đã làm xong", "done"),
    "answer": Both("đơn vị trả lời", "the unit answered"),
    "undo": Both("rút lại", "taken back"),
}
SAID_OF_REVIEW: Mapping[str, Both] = {
    Verb.KEEP_OURS: Both("giữ bản cũ", "what was kept stands"),
    Verb.TAKE_THEIRS: Both("nhận đề nghị", "the wish is carried out"),
    Verb.VALUE: Both("ghi giá trị khác", "another value is written"),
    Verb.LATER: Both("để sau", "put off"),
}
