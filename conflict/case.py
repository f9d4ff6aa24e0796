"""Cases: disagreements that wait for a person, each with a stable id.

Enters: a kind and the ids of what disagrees. Leaves: the case's id, titles (Vietnamese first) and addressee.
Must hold: two nodes that find the same disagreement give it the same id, in whatever order they met the sides;
the parts are identifiers (row, stream, node, proposal ids, positions, hashes), never a personal value: a citizen id
has so few digits that its hash would give it away.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from conflict.errors import ConflictError


class Addressee(StrEnum):
    """Who is asked first. The tree is data: these are roles, not tiers."""

    KEEPER = "keeper"  # the node that keeps the unit's register
    COMMON_TIER = "common_tier"  # the lowest tier that sees all sides
    CUSTODIAN = "custodian"  # the role that answers for the whole
    OPERATOR = "operator"  # whoever looks after the node concerned


class CaseKind(StrEnum):
    """Every kind of case in design.md §5 ("Cases"), and the two reviews that I11 makes the default."""

    STALE_PROPOSAL = "stale_proposal"
    WISH_ON_DELETED_ROW = "wish_on_deleted_row"
    DELETE_PROPOSED = "delete_proposed"
    INSERT_RESEMBLES = "insert_resembles"
    DUPLICATE_CITIZEN_ID = "duplicate_citizen_id"
    DUPLICATE_INSURANCE_NO = "duplicate_insurance_no"
    DUPLICATE_HOUSEHOLD_NO = "duplicate_household_no"
    DUPLICATE_PERSON = "duplicate_person"
    TWIN_EVENT = "twin_event"
    DEPARTURE_WITHOUT_ARRIVAL = "departure_without_arrival"
    ARRIVAL_WITHOUT_DEPARTURE = "arrival_without_departure"
    UNRESOLVED_REFERENCE = "unresolved_reference"
    RULE_VIOLATED = "rule_violated"
    FORK = "fork"
    WRITES_BEYOND_TERM = "writes_beyond_term"
    CLOCK_FAR_OFF = "clock_far_off"
    CHECKPOINT_MISMATCH = "checkpoint_mismatch"
    DUTY_STOPPED = "duty_stopped"

    @property
    def title_vi(self) -> str:
        return _KINDS[self].title_vi

    @property
    def title_en(self) -> str:
        return _KINDS[self].title_en

    @property
    def addressee(self) -> Addressee:
        return _KINDS[self].addressee

    @property
    def is_symmetric(self) -> bool:
        """Whether the sides are alike, so that their order must not matter."""
        return _KINDS[self].is_symmetric


def case_id(kind: CaseKind, *parts: str | int) -> str:
    """UUID text of the first 16 bytes of SHA-256 over kind and parts; where the sides are alike the parts are sorted.

    Usual parts: a proposal's id for the reviews; the row ids of all sides for duplicates and twin events; stream,
    position and both hashes for a fork; stream, position, table and node for a checkpoint mismatch.
    Raises ConflictError without parts: all such cases would be one.
    """
    if not parts:
        raise ConflictError(f"case {kind} names nothing that disagrees", "pass the ids of its sides")
    texts = [str(part) for part in parts]
    ordered = sorted(texts) if kind.is_symmetric else texts
    digest = hashlib.sha256(b"syncd case v1")
    for text in (kind.value, *ordered):
        encoded = text.encode()
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(len(encoded).to_bytes(4) + encoded)
    return str(uuid.UUID(bytes=digest.digest()[:16]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    title_vi: str
    title_en: str
    addressee: Addressee
    is_symmetric: bool = False


_KINDS: Mapping[CaseKind, _Kind] = {
    CaseKind.STALE_PROPOSAL: _Kind(
        title_vi="Đề nghị sửa dựa trên số liệu đã thay đổi",
        title_en="Proposal based on a value that has changed since",
        addressee=Addressee.KEEPER,
    ),
    CaseKind.WISH_ON_DELETED_ROW: _Kind(
        title_vi="Đề nghị sửa bản ghi đã xóa",
        title_en="Proposal for a row that was deleted",
        addressee=Addressee.KEEPER,
    ),
    CaseKind.DELETE_PROPOSED: _Kind(
        title_vi="Đề nghị xóa bản ghi",
        title_en="Deletion of a row proposed",
        addressee=Addressee.KEEPER,
    ),
    CaseKind.INSERT_RESEMBLES: _Kind(
        title_vi="Đề nghị thêm bản ghi giống bản ghi đã có",
        title_en="Proposed row resembles one already kept",
        addressee=Addressee.KEEPER,
    ),
    CaseKind.DUPLICATE_CITIZEN_ID: _Kind(
        title_vi="Trùng số định danh cá nhân",
        title_en="Same citizen id twice",
        addressee=Addressee.COMMON_TIER,
        is_symmetric=True,
    ),
    CaseKind.DUPLICATE_INSURANCE_NO: _Kind(
        title_vi="Trùng mã số bảo hiểm y tế",
        title_en="Same insurance number twice",
        addressee=Addressee.COMMON_TIER,
        is_symmetric=True,
    ),
    CaseKind.DUPLICATE_HOUSEHOLD_NO: _Kind(
        title_vi="Trùng số hộ",
        title_en="Same household number twice",
        addressee=Addressee.KEEPER,
        is_symmetric=True,
    ),
    CaseKind.DUPLICATE_PERSON: _Kind(
        title_vi="Nghi trùng đối tượng (không có số định danh)",
        title_en="Possible duplicate person (without citizen id)",
        addressee=Addressee.COMMON_TIER,
        is_symmetric=True,
    ),
    CaseKind.TWIN_EVENT: _Kind(
        title_vi="Một sự kiện được ghi hai lần",
        title_en="One event recorded twice",
        addressee=Addressee.COMMON_TIER,
        is_symmetric=True,
    ),
    CaseKind.DEPARTURE_WITHOUT_ARRIVAL: _Kind(
        title_vi="Chuyển đi chưa có nơi đến xác nhận",
        title_en="Departure without arrival",
        addressee=Addressee.COMMON_TIER,
    ),
    CaseKind.ARRIVAL_WITHOUT_DEPARTURE: _Kind(
        title_vi="Chuyển đến chưa có nơi đi xác nhận",
        title_en="Arrival without departure",
        addressee=Addressee.COMMON_TIER,
    ),
    CaseKind.UNRESOLVED_REFERENCE: _Kind(
        title_vi="Tham chiếu đến bản ghi chưa có",
        title_en="Reference to a row that is not there",
        addressee=Addressee.KEEPER,
    ),
    CaseKind.RULE_VIOLATED: _Kind(
        title_vi="Các bản ghi mâu thuẫn với quy tắc nghiệp vụ",
        title_en="Rule violated across rows",
        addressee=Addressee.KEEPER,
    ),
    CaseKind.FORK: _Kind(
        title_vi="Nhật ký bị rẽ nhánh: hai máy cùng ghi",
        title_en="Fork: two machines extended one stream",
        addressee=Addressee.CUSTODIAN,
        is_symmetric=True,
    ),
    CaseKind.WRITES_BEYOND_TERM: _Kind(
        title_vi="Số liệu ghi sau khi đã bàn giao đơn vị",
        title_en="Writes beyond the keeper's term",
        addressee=Addressee.CUSTODIAN,
    ),
    CaseKind.CLOCK_FAR_OFF: _Kind(
        title_vi="Đồng hồ máy lệch quá xa",
        title_en="Clock far off",
        addressee=Addressee.OPERATOR,
    ),
    CaseKind.CHECKPOINT_MISMATCH: _Kind(
        title_vi="Đối soát lệch: nội dung hai máy khác nhau",
        title_en="Checkpoint mismatch: two nodes differ in content",
        addressee=Addressee.OPERATOR,
    ),
    CaseKind.DUTY_STOPPED: _Kind(
        title_vi="Một việc của máy này đã dừng vì lỗi",
        title_en="One of this node's duties stopped at an error",
        addressee=Addressee.OPERATOR,
    ),
}
