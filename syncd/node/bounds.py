"""From when on `syncd status --check` warns: thresholds, each a setting of `syncd.toml` under its name with `check_`.

Enters: nothing. Leaves: `Bounds`. Must hold: the defaults stand here alone; what is behind three times a bound of
hours is critical, unless a setting of its own says when.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from syncd.language import Both

PREFIX = "check_"
CRITICAL_TIMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Units stand last in each name."""

    clock_s: int = 300
    parent_warning_s: int = 900
    parent_critical_s: int = 24 * 3600
    child_h: int = 24
    failing_s: int = 300
    backlog_h: int = 24
    backlog_rows: int = 100_000
    backup_days: int = 7
    certificate_days: int = 30
    disk_mib: int = 512


NAMES = tuple(field.name for field in fields(Bounds))
MEANINGS: dict[str, Both] = {
    "clock_s": Both(
        "đồng hồ lệch so với cấp trên, hoặc chậm hơn chính những gì máy đã ghi (nghiêm trọng: một ngày)",
        "the clock is off the parent's, or behind what this machine has recorded itself (critical: a day)",
    ),
    "parent_warning_s": Both("cấp trên không trả lời lâu như vậy", "the parent has not answered for so long"),
    "parent_critical_s": Both("sau đó là nghiêm trọng", "and after this it is critical"),
    "child_h": Both(
        "đơn vị trực thuộc im lặng; máy chỉ chạy `sync --once` chưa trao đổi được (nghiêm trọng: gấp ba)",
        "a child is silent; a machine that only runs `sync --once` has not got through (critical: three times)",
    ),
    "failing_s": Both("một việc không làm được lâu hơn: nghiêm trọng", "a duty that fails longer is critical"),
    "backlog_h": Both(
        "thay đổi cũ nhất chưa tới tỉnh (nghiêm trọng: gấp ba)", "the oldest change not yet at the province (critical:"
        " three times)",
    ),
    "backlog_rows": Both("số thay đổi chưa tới tỉnh", "changes not yet at the province"),
    "backup_days": Both(
        "chưa có bản sao lưu nào của tỉnh (nghiêm trọng: gấp ba)",
        "the province has made no backup (critical: three times)",
    ),
    "certificate_days": Both("chứng thư sắp hết hạn", "a certificate ends"),
    "disk_mib": Both("đĩa còn ít hơn (nghiêm trọng: một phần tám)", "less is left on the disk (critical: an eighth)"),
}  # fmt: skip
if MEANINGS.keys() != set(NAMES):
    raise TypeError(f"bounds and their meanings differ: {sorted(MEANINGS.keys() ^ set(NAMES))}")
