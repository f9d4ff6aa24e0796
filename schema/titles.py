"""What people call the columns of the records, and the values that stand for words: one table, both languages.

Enters: names of tables and columns, values. Leaves: (Vietnamese, English), or none. Must hold: only what is shown to
people passes through here: JSON, commands and SQL keep the names; every column of the population records has a title.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Title = tuple[str, str]

# By column, wherever it stands: one word per idea. Names of the template of persons, of the file of units and of the
# file of proposals stand here too: their reports name columns as the file's first line may.
TITLES: Mapping[str, Title] = {
    "id": ("Mã bản ghi", "Row id"),
    "unit_id": ("Đơn vị", "Unit"),
    # households
    "number": ("Số hộ", "Household number"),
    "household_number": ("Số hộ", "Household number"),
    "kind": ("Loại hộ", "Kind of household"),
    "household_kind": ("Loại hộ", "Kind of household"),
    "hamlet": ("Thôn, tổ dân phố", "Hamlet"),
    "address": ("Địa chỉ", "Address"),
    "enumeration_area": ("Địa bàn điều tra", "Enumeration area"),
    "collaborator": ("Cộng tác viên", "Collaborator"),
    "opened_on": ("Ngày lập hộ", "Opened on"),
    "closed_on": ("Ngày kết thúc hộ", "Closed on"),
    # persons
    "household_id": ("Hộ", "Household"),
    "line_no": ("Số thứ tự trong hộ", "Line in the household"),
    "full_name": ("Họ và tên", "Full name"),
    "sex": ("Giới tính", "Sex"),
    "birth_date": ("Ngày sinh", "Birth date"),
    "birth_precision": ("Ngày sinh biết đến", "Birth date known to"),
    "ethnic": ("Dân tộc", "Ethnic group"),
    "relation": ("Quan hệ với chủ hộ", "Relation to the head"),
    "education": ("Trình độ học vấn", "Education"),
    "marital": ("Tình trạng hôn nhân", "Marital status"),
    "residence": ("Tình trạng cư trú", "Residence"),
    "mother_id": ("Mẹ", "Mother"),
    "father_id": ("Cha", "Father"),
    "citizen_id": ("Số định danh cá nhân", "Citizen id"),
    "insurance_no": ("Số thẻ bảo hiểm y tế", "Insurance number"),
    "insurance_until": ("Hạn thẻ bảo hiểm y tế", "Insured until"),
    "phone": ("Số điện thoại", "Phone"),
    # events
    "child_id": ("Con", "Child"),
    "born_on": ("Ngày sinh", "Born on"),
    "parity": ("Lần sinh thứ", "Parity"),
    "place": ("Nơi sinh", "Place of birth"),
    "weight_g": ("Cân nặng khi sinh (gam)", "Weight at birth (grams)"),
    "person_id": ("Nhân khẩu", "Person"),
    "died_on": ("Ngày chết", "Died on"),
    "cause": ("Nguyên nhân chết", "Cause of death"),
    "direction": ("Chiều chuyển", "Direction"),
    "moved_on": ("Ngày chuyển", "Moved on"),
    "other_place": ("Nơi đi hoặc nơi đến", "Where from or to"),
    "match_id": ("Mã khớp chuyển đi, chuyển đến", "Match of a move"),
    "migration_id": ("Lần chuyển", "Move"),
    # what tiers above say
    "checked_at": ("Xác minh lúc", "Checked at"),
    "checked_by": ("Người xác minh", "Checked by"),
    "link_id": ("Mã liên kết", "Link"),
    "state": ("Trạng thái", "State"),
    "method": ("Cách xác định", "Method"),
    "score": ("Điểm giống nhau", "Score"),
    "decided_by": ("Người quyết định", "Decided by"),
    "decided_at": ("Quyết định lúc", "Decided at"),
    # units and code lists
    "parent_id": ("Đơn vị cấp trên", "Unit above"),
    "level": ("Cấp", "Level"),
    "code": ("Mã", "Code"),
    "name": ("Tên", "Name"),
    "valid_from": ("Có hiệu lực từ ngày", "Valid from"),
    "valid_to": ("Hết hiệu lực từ ngày", "Valid until"),
    "old_unit_id": ("Đơn vị cũ", "Old unit"),
    "new_unit_id": ("Đơn vị mới", "New unit"),
    "operation": ("Thao tác", "Operation"),
    "scope_note": ("Phạm vi", "Scope"),
    "decision_no": ("Số nghị quyết", "Number of the resolution"),
    "effective_on": ("Ngày có hiệu lực", "Effective on"),
    "list_name": ("Danh mục", "Code list"),
    "version": ("Phiên bản", "Version"),
    "title": ("Tiêu đề", "Title"),
    # the file of units
    "old_code": ("Mã xã cũ", "Old code"),
    "old_name": ("Tên xã cũ", "Old name"),
    "new_code": ("Mã xã mới", "New code"),
    "new_name": ("Tên xã mới", "New name"),
    "new_province_code": ("Mã tỉnh mới", "Code of the new province"),
    "new_province": ("Tỉnh mới", "New province"),
    "old_district_code": ("Mã huyện cũ", "Code of the old district"),
    "old_district": ("Huyện cũ", "Old district"),
    "old_province_code": ("Mã tỉnh cũ", "Code of the old province"),
    "old_province": ("Tỉnh cũ", "Old province"),
    # the file of proposals
    "table": ("Bảng", "Table"),
    "row_id": ("Mã bản ghi", "Row id"),
    "unit": ("Đơn vị", "Unit"),
    "reason": ("Lý do", "Reason"),
    "expires": ("Hạn", "Until when"),
    "set": ("Giá trị đề nghị", "Values wished"),
}
# Where a name means something else in one table.
OF_TABLE: Mapping[tuple[str, str], Title] = {
    ("unit_change", "operation"): ("Hình thức", "How much"),
    ("code_list", "name"): ("Tên danh mục", "Name of the list"),
    ("unit", "name"): ("Tên đơn vị", "Name of the unit"),
    ("unit", "code"): ("Mã đơn vị", "Code of the unit"),
}
# Values that are words of the program. Those of code lists come from the lists.
VALUES: Mapping[str, Mapping[Any, Title]] = {
    "sex": {1: ("nam", "male"), 2: ("nữ", "female")},
    "kind": {"family": ("gia đình", "family"), "collective": ("tập thể", "collective")},
    "birth_precision": {
        "d": ("ngày, tháng, năm", "the day"),
        "m": ("tháng, năm", "the month"),
        "y": ("năm", "the year"),
    },
    "residence": {
        "usual": ("thường trú", "usual"),
        "absent": ("tạm vắng", "absent"),
        "temporary": ("tạm trú", "temporary"),
        "departed": ("đã chuyển đi", "departed"),
        "deceased": ("đã chết", "deceased"),
    },
    "place": {
        "station": ("trạm y tế", "health station"),
        "hospital": ("bệnh viện", "hospital"),
        "home": ("tại nhà", "at home"),
        "other": ("nơi khác", "elsewhere"),
    },
    "direction": {"arrival": ("chuyển đến", "arrival"), "departure": ("chuyển đi", "departure")},
    "state": {
        "linked": ("đã liên kết", "linked"),
        "proposed": ("chờ xem xét", "to be looked at"),
        "unlinked": ("đã gỡ", "taken apart"),
        "matched": ("đã khớp", "matched"),
        "apart": ("đã tách", "taken apart"),
    },
    "method": {
        "citizen_id": ("trùng số định danh", "same citizen id"),
        "insurance_no": ("trùng số thẻ bảo hiểm y tế", "same insurance number"),
        "score": ("họ tên, ngày sinh và gia đình khớp nhau", "name, birth and family agree"),
        "person": ("cán bộ quyết định", "decided by a person"),
        "match_id": ("cùng mã khớp", "same match"),
        "link": ("hai bản ghi đã liên kết", "the two rows are linked"),
    },
    "level": {
        "province": ("tỉnh", "province"),
        "district": ("huyện", "district"),
        "commune": ("xã", "commune"),
    },
    "operation": {
        "insert": ("thêm", "add"),
        "update": ("sửa", "change"),
        "delete": ("xóa", "delete"),
        "whole": ("toàn bộ", "whole"),
        "part": ("một phần", "part"),
        "land": ("chỉ diện tích, không có dân", "land without people"),
    },
}


def column_title(table: str | None, column: str) -> Title | None:
    """The title of a column; None for one that this release has no title for."""
    return OF_TABLE.get((table or "", column)) or TITLES.get(column)


def value_title(column: str, value: Any) -> Title | None:
    """The words of a value; None for one that is shown as it is."""
    return VALUES.get(column, {}).get(value)
