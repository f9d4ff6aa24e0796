"""What the operating system's numbers mean to an operator: what happened to a file, and what to do.

Enters: nothing. Leaves: causes by number. Must hold: a number that asks for something else than looking at the path has
its own words here, in both languages; full, read-only and closed files are judged where more is known (`system.py`).
"""

from __future__ import annotations

import errno

from syncd.errors import DiskFull, SyncdError
from syncd.language import Both
from syncd.store.causes import Cause


def _cause(vi: str, en: str, remedy: Both, kind: type[SyncdError] = SyncdError) -> Cause:
    return Cause(kind, Both("{what}: " + vi, "{what}: " + en), remedy)


LOOK = Both("kiểm tra đường dẫn và đĩa", "check the path and the disk")
PATH = Both("kiểm tra đường dẫn", "check the path")
OTHER = Cause(SyncdError, Both("{what}: {error}", "{what}: {error}"), LOOK)

QUOTA = _cause(
    "tài khoản đã dùng hết hạn mức đĩa",
    "this account's disk quota is used up",
    Both(
        "xóa bớt tệp của tài khoản, hoặc xin tăng hạn mức; không mất gì đã ghi nhận",
        "remove files of this account, or have the quota raised; nothing that was acknowledged is lost",
    ),
    DiskFull,
)
TOO_LARGE = _cause(
    "tệp lớn quá mức được phép",
    "the file is larger than is allowed",
    Both(
        "nâng giới hạn cỡ tệp (ulimit -f; LimitFSIZE= của dịch vụ), hoặc nêu nơi không phải FAT32",
        "raise the limit of a file's size (ulimit -f; a service's LimitFSIZE=), or name a place that is no FAT32",
    ),
)
BROKEN = _cause(
    "đĩa không đọc hoặc ghi được",
    "the disk cannot read or write",
    Both(
        "kiểm tra đĩa và dây nối (dmesg), hoặc nêu nơi khác",
        "check the disk and its cable (dmesg), or name another place",
    ),
)
MISSING = _cause("không có tệp hoặc thư mục đó", "there is no such file or directory", PATH)
NO_DIRECTORY = _cause(
    "một phần đường dẫn là tệp, không phải thư mục", "a part of the path is a file, not a directory", PATH
)
DIRECTORY = _cause("là thư mục, không phải tệp", "it is a directory, not a file", PATH)
IS_THERE = _cause(
    "ở đó đã có tệp cùng tên",
    "there is a file of that name",
    Both("nêu nơi khác, hoặc dời tệp đó đi", "name another place, or move that file away"),
)
TOO_LONG = _cause("tên quá dài", "the name is too long", Both("nêu tên ngắn hơn", "name a shorter one"))
CIRCLE = _cause("liên kết chỉ vòng tròn", "its links lead in a circle", PATH)
BAD_NAME = _cause("tên không dùng được ở đó", "a name that cannot be used there", PATH)

CAUSES = (QUOTA, TOO_LARGE, BROKEN, MISSING, NO_DIRECTORY, DIRECTORY, IS_THERE, TOO_LONG, CIRCLE, BAD_NAME)
BY_ERRNO = {
    getattr(errno, "EDQUOT", -1): QUOTA, errno.EFBIG: TOO_LARGE, errno.EIO: BROKEN, errno.ENOENT: MISSING,
    errno.ENOTDIR: NO_DIRECTORY, errno.EISDIR: DIRECTORY, errno.EEXIST: IS_THERE, errno.ENAMETOOLONG: TOO_LONG,
    errno.ELOOP: CIRCLE, errno.EINVAL: BAD_NAME,
}  # fmt: skip
