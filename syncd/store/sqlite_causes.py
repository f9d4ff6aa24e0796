"""Why an SQLite database refuses, by the library's own numbers, and what to do about each.

Enters: nothing. Leaves: causes by number. Must hold: what `causes.py` says.
"""

from __future__ import annotations

from syncd.errors import (
    ConfigError,
    DatabaseLocked,
    DatabaseReplaced,
    DatabaseUnusable,
    DiskFull,
    KeyFileError,
    NotCanonical,
    PermissionDenied,
    StoreError,
    TemporaryError,
)
from syncd.language import Both
from syncd.store.causes import UNFIT, Cause

# The numbers of sqlite3.h; an extended one has its primary one in the low byte.
GENERAL, PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, FULL = 1, 3, 5, 6, 7, 8, 10, 11, 13
CANTOPEN, SCHEMA, NOT_A_DATABASE = 14, 17, 26
OF_STATEMENT = (
    GENERAL,
    18,
    19,
    20,
    23,
    25,
)  # wrong in itself, or its values: too long, against a rule, of another type
READONLY_DBMOVED = READONLY | 4 << 8
IOERR_SHMSIZE = IOERR | 19 << 8  # no room for the shared memory of the log
RESTORE = Both(
    "dừng chương trình đồng bộ, dời tệp này cùng -wal và -shm của nó ra chỗ khác (đừng xóa), rồi `[[syncd restore"
    " BẢN_SAO_LƯU]]` với bản sao lưu cuối;"
    " phần thiếu tự về từ các máy khác",
    "stop the daemon, move this file with its -wal and -shm elsewhere (do not delete them), then `[[syncd"
    " restore BACKUP]]`"
    " with the last backup; what it lacks comes back from the other nodes",
)
LOCK_HELD = Cause(
    DatabaseLocked,
    Both("chương trình khác đang khóa cơ sở dữ liệu {place}", "the database {place} is locked by another program"),
    Both(
        "đóng giao dịch đang mở của chương trình kia; syncd tự thử lại",
        "close the other program's open transaction; syncd tries again by itself",
    ),
)
NO_SPACE = Cause(
    DiskFull,
    Both("hết chỗ cho cơ sở dữ liệu {place}", "no space left for the database {place}"),
    Both("giải phóng đĩa; không mất gì đã ghi nhận", "free disk space; nothing acknowledged is lost"),
)
DISK_FAILS = Cause(
    StoreError,
    Both("đĩa không đọc hoặc ghi được {place} ({name})", "the disk cannot read or write {place} ({name})"),
    Both(
        "kiểm tra đĩa, dây nối (dmesg), hạn mức đĩa và giới hạn cỡ tệp (ulimit -f); syncd tự thử lại; nếu vẫn vậy, khôi"
        " phục bản sao lưu cuối vào đĩa tốt",
        "check the disk, its cable (dmesg), its quota and the limit of a file's size (ulimit -f); syncd tries again by"
        " itself; if it stays so, restore the last backup to a sound disk",
    ),
)
DAMAGED = Cause(
    StoreError, Both("cơ sở dữ liệu {place} bị hỏng ({name})", "the database {place} is damaged ({name})"), RESTORE
)
KEY_REFUSED = Cause(
    KeyFileError,
    Both(
        "khóa này không mở được cơ sở dữ liệu {place}, hoặc phần đầu tệp bị hỏng",
        "the database {place} does not open with this key, or its beginning is damaged",
    ),
    Both(
        "đặt đúng database.key bên cạnh cơ sở dữ liệu; nếu khóa đã đúng thì tệp hỏng: dời tệp cùng -wal và -shm ra chỗ"
        " khác (đừng xóa), rồi `[[syncd restore BẢN_SAO_LƯU]]` với bản sao lưu cuối",
        "put the right database.key beside the database; if it is the right one the file is damaged: move it with its"
        " -wal and -shm elsewhere (do not delete them), then `[[syncd restore BACKUP]]` with the last backup",
    ),
)
NO_SQLITE = Cause(
    DatabaseUnusable,
    Both(
        "cơ sở dữ liệu {place} đã mã hóa (hoặc bị hỏng), nhưng cấu hình là encrypted = false",
        "the database {place} is encrypted (or damaged), but the setting is encrypted = false",
    ),
    Both(
        "bỏ dòng encrypted trong syncd.toml (mặc định là true); nếu tệp vốn không mã hóa thì nó hỏng: dời đi cùng -wal"
        " và -shm (đừng xóa), rồi `[[syncd restore BẢN_SAO_LƯU]]` với bản sao lưu cuối",
        "take the line encrypted out of syncd.toml (it is true by default); if the file was never encrypted it is"
        " damaged: move it away with its -wal and -shm (do not delete them), then `[[syncd restore BACKUP]]`"
        " with the last backup",
    ),
)
NOT_ENCRYPTED = Cause(
    ConfigError,
    Both(
        "cơ sở dữ liệu {place} không mã hóa, nhưng cấu hình là encrypted = true",
        "the database {place} is not encrypted, but the setting is encrypted = true",
    ),
    Both("đặt encrypted = false trong syncd.toml", "set encrypted = false in syncd.toml"),
)
TABLES_CHANGED = Cause(
    TemporaryError,
    Both(
        "chương trình khác vừa đổi cấu trúc bảng của {place}", "another program has just changed the tables of {place}"
    ),
    Both("syncd tự thử lại", "syncd tries again by itself"),
)
NOT_TEXT = Cause(
    NotCanonical,
    Both(
        "một giá trị của cột {column} trong {place} không phải chữ UTF-8 (phông TCVN3, VNI hoặc mã cũ)",
        "a value of column {column} in {place} is no UTF-8 text (TCVN3, VNI or another old code)",
    ),
    Both(
        "gõ lại giá trị đó bằng Unicode (UPDATE bản ghi vừa sửa); syncd tự đi tiếp",
        "write that value anew in Unicode (UPDATE the row changed last); syncd goes on by itself",
    ),
)
NOT_TEXT_AT = Cause(
    NotCanonical,
    Both(
        "cột {column} trong {place} có giá trị không phải chữ UTF-8 (phông TCVN3, VNI hoặc mã cũ): {rows}",
        "column {column} in {place} holds what is no UTF-8 text (TCVN3, VNI or another old code): {rows}",
    ),
    Both(
        "gõ lại bằng Unicode: [[syncd sql \"UPDATE {table} SET {column} = '…' WHERE id = '{row}'\"]]; syncd tự đi tiếp",
        "write it anew in Unicode: [[syncd sql \"UPDATE {table} SET {column} = '…' WHERE id = '{row}'\"]]; syncd goes"
        " on by itself",
    ),
)
READ_ONLY = Cause(
    PermissionDenied,
    Both("{place}: chỉ đọc được, không ghi được", "{place} can be read but not written"),
    Both("{remedy}", "{remedy}"),
)
CLOSED_TO_US = Cause(
    PermissionDenied,
    Both("{place}: không có quyền", "{place}: permission denied"),
    Both("{remedy}", "{remedy}"),
)
IS_DIRECTORY = Cause(
    DatabaseUnusable,
    Both("{place} là thư mục, không phải cơ sở dữ liệu", "{place} is a directory, not a database"),
    Both(
        "dời thư mục đó đi và đặt lại syncd.db của máy, hoặc `[[syncd restore BẢN_SAO_LƯU]]` với bản sao lưu cuối",
        "move that directory away and put the node's own syncd.db back, or `[[syncd restore BACKUP]]` with the"
        " last backup",
    ),
)
EMPTY = Cause(
    StoreError,
    Both("cơ sở dữ liệu {place} rỗng (0 byte)", "the database {place} is empty (0 bytes)"),
    Both(
        "nếu `syncd init` hay `syncd join` vừa bị ngắt: chạy lại đúng lệnh đó; nếu không, nội dung đã bị xóa: dời tệp"
        " cùng -wal và -shm ra chỗ khác (đừng xóa), rồi `[[syncd restore BẢN_SAO_LƯU]]` với bản sao lưu cuối",
        "if `syncd init` or `syncd join` was interrupted: run the same again; else its content was cut off: move the"
        " file with its -wal and -shm elsewhere (do not delete them), then `[[syncd restore BACKUP]]` with the"
        " last backup",
    ),
)
GONE = Cause(
    DatabaseUnusable,
    Both("thiếu cơ sở dữ liệu {place} của máy này", "the database {place} of this node is missing"),
    Both(
        "đặt lại tệp đó (cùng -wal nếu có), hoặc `[[syncd restore BẢN_SAO_LƯU]]` với bản sao lưu cuối; nếu"
        " `syncd init` hay `syncd join`"
        " vừa bị ngắt thì chạy lại đúng lệnh đó",
        "put it back (with its -wal, if there is one), or `[[syncd restore BACKUP]]` with the last backup; if"
        " `syncd init` or `syncd"
        " join` was interrupted, run the same again",
    ),
)
LOST = Cause(
    DatabaseUnusable,
    GONE.what,
    Both(
        "đặt lại tệp đó (cùng -wal nếu có), hoặc `[[syncd restore BẢN_SAO_LƯU]]` với bản sao lưu cuối; không"
        " lập lại máy gốc với cùng khóa",
        "put it back (with its -wal, if there is one), or `[[syncd restore BACKUP]]` with the last backup; a"
        " root is not begun anew"
        " under the same keys",
    ),
)
NOT_OURS = Cause(
    ConfigError,
    Both(
        "{place} là cơ sở dữ liệu của chương trình khác: không có bảng của syncd",
        "{place} is another program's database: it has no tables of syncd",
    ),
    Both(
        "đặt lại syncd.db của máy này, hoặc nêu đúng --dir; chưa ghi gì vào tệp đó",
        "put this node's own syncd.db back, or name the right --dir; nothing was written to that file",
    ),
)
TAKEN_AWAY = Cause(
    DatabaseReplaced,
    Both("{place} đã bị xóa hoặc dời đi khi syncd đang mở", "{place} was removed while syncd had it open"),
    Both(
        "đã dừng, không ghi gì thêm; đặt lại đúng tệp vào chỗ cũ, hoặc `[[syncd restore BẢN_SAO_LƯU]]` với bản"
        " sao lưu cuối, rồi chạy lại"
        " `[[syncd run]]`",
        "stopped, nothing more was written; put the right file back in its place, or `[[syncd restore BACKUP]]`"
        " with the last backup,"
        " then start `[[syncd run]]` again",
    ),
)
PUT_IN_PLACE = Cause(
    DatabaseReplaced,
    Both("{place} đã bị thay bằng tệp khác khi syncd đang mở", "{place} was replaced while syncd had it open"),
    TAKEN_AWAY.remedy,
)
LOG_TAKEN_AWAY = Cause(
    DatabaseReplaced,
    TAKEN_AWAY.what,
    Both(
        "đã dừng, không ghi gì thêm; tìm chương trình đã làm việc đó (dọn đĩa, đồng bộ tệp, chống vi-rút), rồi chạy lại"
        " `[[syncd run]]`, sau đó `[[syncd verify --full]]`",
        "stopped, nothing more was written; find the program that did it (a cleaner, file synchronisation, antivirus),"
        " then start `[[syncd run]]` again, and `[[syncd verify --full]]` afterwards",
    ),
)
LOG_PUT_IN_PLACE = Cause(DatabaseReplaced, PUT_IN_PLACE.what, LOG_TAKEN_AWAY.remedy)
OTHER = Cause(
    StoreError,
    Both("cơ sở dữ liệu {place} từ chối ({why})", "the database {place} refuses ({why})"),
    Both(
        "không có gì được ghi; nếu lặp lại, gửi dòng này cho người phụ trách syncd",
        "nothing was written; if it comes again, send this line to whoever looks after syncd",
    ),
)
NOT_OPENED = Cause(
    StoreError,
    Both("không mở được cơ sở dữ liệu {place} ({why})", "cannot open the database {place} ({why})"),
    Both(
        "syncd tự thử lại; kiểm tra số tệp đang mở (ulimit -n) và bộ nhớ của máy",
        "syncd tries again by itself; look at the number of open files (ulimit -n) and at the memory of this machine",
    ),
)
UNSAID = Cause(
    StoreError,
    Both("cơ sở dữ liệu {place}: trình điều khiển từ chối", "database {place}: the driver refused"),
    OTHER.remedy,
)
NO_MEMORY = Cause(
    TemporaryError,
    Both("máy thiếu bộ nhớ cho cơ sở dữ liệu {place}", "too little memory for the database {place}"),
    Both("đóng bớt chương trình khác; syncd tự thử lại", "close other programs; syncd tries again by itself"),
)
REFUSED_BY_TRIGGER = Cause(
    StoreError,
    Both(
        "một trigger không phải của syncd trong {place} không nhận một bản ghi",
        "a trigger in {place} that is not syncd's refuses a row",
    ),
    Both(
        "bỏ trigger đó, hoặc để nó nhận bản ghi syncd ghi; sổ tự đi tiếp",
        "remove that trigger, or have it take what syncd writes; the stream goes on by itself",
    ),
)
CHMOD = Both("chạy: chmod u+{rights} {file}", "run: chmod u+{rights} {file}")
OF_DISK = Both(
    "gắn lại đĩa cho phép ghi, hoặc bỏ thuộc tính chỉ đọc của tệp (lsattr)",
    "mount the disk for writing, or take the file's read-only attribute away (lsattr)",
)
CAUSES = (
    LOCK_HELD, NO_SPACE, DISK_FAILS, DAMAGED, KEY_REFUSED, NO_SQLITE, NOT_ENCRYPTED, TABLES_CHANGED, NOT_TEXT,
    NOT_TEXT_AT,
    READ_ONLY, CLOSED_TO_US, IS_DIRECTORY, EMPTY, GONE, LOST, NOT_OURS, TAKEN_AWAY, PUT_IN_PLACE, LOG_TAKEN_AWAY,
    LOG_PUT_IN_PLACE, NO_MEMORY, REFUSED_BY_TRIGGER, NOT_OPENED, UNSAID, OTHER, UNFIT,
)  # fmt: skip
# What stands for an advice that depends on the file.
REMEDIES = (CHMOD, OF_DISK)
BY_CODE = {
    IOERR_SHMSIZE: NO_SPACE, BUSY: LOCK_HELD, LOCKED: LOCK_HELD, FULL: NO_SPACE, IOERR: DISK_FAILS, CORRUPT: DAMAGED,
    NOT_A_DATABASE: KEY_REFUSED, SCHEMA: TABLES_CHANGED, NOMEM: NO_MEMORY,
}  # fmt: skip
