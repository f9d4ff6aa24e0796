"""The words of disagreements: states, results and reasons, Vietnamese first. Codes are stored, words are shown."""

from __future__ import annotations

from conflict.verdict import Why
from syncd.language import Both

# The wish was written over a kept value that had changed meanwhile: the kept value is the loser.
KEPT_LOST = frozenset({Why.AUTHOR_UPPER, Why.LATER, Why.GREATER, Why.SMALLER, Why.UNION})

OUTCOME = {
    "accepted": Both("Đề nghị được chấp nhận", "Proposal accepted"),
    "partly": Both("Đề nghị được chấp nhận một phần", "Proposal accepted in part"),
    "rejected": Both("Đề nghị bị từ chối, giữ bản của đơn vị giữ sổ", "Proposal rejected, the kept value stands"),
    "review": Both("Đề nghị chờ người quyết định", "Proposal waits for a person"),
    "referred": Both("Đề nghị chuyển theo bản ghi sang đơn vị khác", "Proposal went with its row to another unit"),
}
RESULT = {
    "accepted": Both("nhận", "accepted"),
    "already": Both("đã đúng", "already so"),
    "kept": Both("giữ bản cũ", "kept"),
    "other": Both("giá trị khác", "another value"),
    "review": Both("chờ xem xét", "review"),
    "waiting": Both("chờ", "waiting"),
}
STATE = {
    "review": Both("chờ xem xét", "review"),
    "lost": Both("có bên thua", "one side lost"),
    "accepted": Both("đã nhận", "accepted"),
    "waiting": Both("chưa quyết", "undecided"),
    "case": Both("vụ việc mở", "open case"),
    "asked": Both("chờ xã trả lời", "unit asked"),
    "question": Both("được hỏi", "asked of us"),
    "answered": Both("xã đã trả lời", "unit answered"),
    "later": Both("để sau", "put off"),
    "settled": Both("đã giải quyết", "settled"),
    "undone": Both("quyết định đã rút lại", "decision taken back"),
}
WHY = {
    "unchanged": Both("giá trị chưa đổi từ khi người đề nghị xem", "unchanged since the proposer saw it"),
    "equal": Both("giá trị đang giữ đã đúng như đề nghị", "the kept value is already the one wished"),
    "nothing_wished": Both(
        "đề nghị không đổi gì; bản đang giữ đứng", "the wish changes nothing; the kept value stands"
    ),
    "keeper_stands": Both("chính sách: giữ bản của đơn vị giữ sổ", "policy: the keeper's value stands"),
    "author_upper": Both(
        "chính sách: bản tuyến trên được nhận; bản đang giữ thua", "policy: the upper tier wins; the kept value lost"
    ),
    "author_not_upper": Both("người đề nghị không thuộc tuyến trên", "the proposer is not an upper tier"),
    "later": Both("đề nghị muộn hơn; bản đang giữ thua", "the wish is later; the kept value lost"),
    "not_later": Both("bản đang giữ muộn hơn; đề nghị thua", "the kept value is later; the wish lost"),
    "clock_far_off": Both("đồng hồ lệch quá xa, cần người xem", "a clock is far off: a person must look"),
    "clock_unknown": Both("chưa đo được đồng hồ, cần người xem", "a clock was never measured: a person must look"),
    "time_unknown": Both("không rõ bản đang giữ đổi lúc nào", "nobody knows when the kept value changed"),
    "greater": Both("đề nghị lớn hơn được nhận", "the greater value wins"),
    "not_greater": Both("bản đang giữ lớn hơn", "the kept value is greater"),
    "smaller": Both("đề nghị nhỏ hơn được nhận", "the smaller value wins"),
    "not_smaller": Both("bản đang giữ nhỏ hơn", "the kept value is smaller"),
    "not_comparable": Both("hai giá trị không so sánh được", "the values cannot be compared"),
    "union": Both("gộp hai danh sách", "both lists are joined"),
    "union_removal": Both("một bên đã bỏ bớt, cần người xem", "one side removed a value: a person must look"),
    "union_too_long": Both("danh sách gộp quá dài", "the joined list is too long"),
    "policy_review": Both(
        "chính sách: người phải quyết định; bản đang giữ đứng", "policy: a person decides; the kept value stands"
    ),
    "group": Both("theo cột khác trong cùng nhóm", "decided with another column of its group"),
    "group_incomplete": Both("nhận sẽ trộn hai nửa của một nhóm", "accepting would mix two halves of one group"),
    "unknown_column": Both("đơn vị giữ sổ chưa có cột này", "the keeper has no such column"),
    "row_deleted": Both("bản ghi đã bị xóa", "the row was deleted"),
    "row_exists": Both("bản ghi đã có", "the row exists already"),
    "row_changed": Both("bản ghi đã đổi từ khi xem", "the row changed since it was seen"),
    "referenced": Both("còn bản ghi khác tham chiếu", "other rows refer to it"),
    "resembles": Both("giống bản ghi đã có", "it resembles a kept row"),
    "new": Both("bản ghi mới", "a new row"),
    "columns": Both("xem từng cột", "see the columns"),
    "superseded": Both("đã có đề nghị mới hơn của cùng người", "a newer proposal of the same author replaced it"),
    "malformed": Both("đề nghị không thực hiện được như đã viết", "it cannot be carried out as written"),
    "rule_violated": Both("giá trị đề nghị trái quy tắc", "the wished value breaks a rule"),
    "person": Both("người có trách nhiệm đã quyết định", "a person decided"),
    "withdrawn": Both("người đề nghị đã rút lại", "its author took it back"),
    "expired": Both("đã quá hạn người đề nghị đặt", "it came after the date its author set"),
    "author_outside": Both(
        "người đề nghị không thuộc tuyến trên của đơn vị", "the proposer does not stand above the unit"
    ),
    "not_decided": Both("đơn vị giữ sổ chưa trả lời", "the keeper has not answered yet"),
    "unreadable": Both("bản này không đọc được nội dung", "this release cannot read the detail"),
}
