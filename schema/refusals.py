"""What the guard says to the person whose write it refuses: Vietnamese first, English second, and how to propose.

Enters: nothing. Leaves: message templates with `{table}`, `{op}`, `{id}`, `{unit}`, `{keeper}`; what to type instead.
Must hold: no value of a record but its id, which is no personal value. Nothing is proposed that cannot be: a row about
all units has no keeper below, and a proposal never changes `id` or `unit_id`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from schema.spec import Apart, Table

UNKNOWN = "không rõ / unknown"

KEEPER = (
    "syncd: bảng {table}, bản ghi {id}: đơn vị {unit} do máy {keeper} giữ, không ghi trực tiếp được; "
    "hãy gửi đề nghị bằng: syncd propose {op} {table} {id} / "
    "table {table}, row {id}: unit {unit} is kept by node {keeper}; propose instead: syncd propose {op} {table} {id}"
)
MINTED = (
    "syncd: bảng {table}, bản ghi {id}: mã bản ghi do máy khác cấp; bỏ cột id khi thêm, hoặc gửi đề nghị bằng: "
    "syncd propose {op} {table} {id} / "
    "table {table}, row {id}: the id was minted by another node; leave id out of the INSERT, "
    "or propose instead: syncd propose {op} {table} {id}"
)
ROOT = (
    "syncd: bảng {table}, bản ghi {id}: chỉ máy gốc được ghi bản ghi chung (unit_id trống); "
    "hãy ghi tại máy gốc / "
    "table {table}, row {id}: only the root writes rows about all units (unit_id NULL); write it at the root"
)
MOVED = (
    "syncd: bảng {table}, bản ghi {id}: không được đổi id hoặc unit_id; hãy xóa rồi thêm bản ghi mới / "
    "table {table}, row {id}: id and unit_id never change; delete and insert anew"
)
ROWID = (
    "syncd: bảng {table}: không được ghi rowid, vì có thể xóa mất bản ghi khác; bỏ cột rowid / "
    "table {table}: a written rowid could remove another row unseen; leave rowid out"
)
REFERRED = (
    "syncd: bảng {table}, bản ghi {id}: còn bản ghi khác tham chiếu; hãy xóa hoặc sửa chúng trước, hoặc bật "
    "PRAGMA foreign_keys = ON trước giao dịch để ghi theo thứ tự bất kỳ / "
    "table {table}, row {id}: other rows still refer to it; delete or change them first, or set "
    "PRAGMA foreign_keys = ON before the transaction to write in any order"
)
DANGLING = (
    "syncd: bảng {table}, bản ghi {id}: cột {column} chỉ tới bản ghi không có; hãy thêm bản ghi đó trước, hoặc bật "
    "PRAGMA foreign_keys = ON trước giao dịch để ghi theo thứ tự bất kỳ / "
    "table {table}, row {id}: {column} refers to a row that does not exist; insert that row first, or set "
    "PRAGMA foreign_keys = ON before the transaction to write in any order"
)
SAME = (
    "syncd: bảng {table}, bản ghi {id}: {column} phải khác {other}, vì không gì chuyển cho chính nó; "
    "hãy ghi giá trị khác / "
    "table {table}, row {id}: {column} must differ from {other}, since nothing passes to itself; write another value"
)
ABOVE = (
    "syncd: bảng {table}, bản ghi {id}: {column} chỉ về chính nó hoặc về cấp dưới của nó; hãy ghi cấp trên thật / "
    "table {table}, row {id}: {column} names the row itself or one below it; write the one above it"
)
TRUNCATED = (
    "syncd: bảng {table}: không dùng TRUNCATE được; hãy dùng DELETE / "
    "table {table}: TRUNCATE is refused because its rows could not be captured; use DELETE"
)


OURS = re.compile(r"syncd: bảng \w+(, bản ghi \S+)?: .+ / table \w+", re.DOTALL)


def is_ours(text: str) -> bool:
    """Whether a trigger's words are those of a guard of syncd's, which quote no value."""
    return OURS.match(text) is not None


def guards(table: Table) -> Iterator[tuple[str, str, Apart | None]]:
    """(reason, message, which two columns) of what a table's guard refuses beside the rules of its kind."""
    for apart in table.apart:
        message = SAME.replace("{column}", apart.column).replace("{other}", apart.other)
        yield f"{apart.column} is {apart.other}", message, apart
    if table.above:
        yield f"{table.above} is below", ABOVE.replace("{column}", table.above), None


COMMAND = "syncd propose {op} {table} {id}"
"""How the templates say what to type; `complete` says it with all that the operation needs."""

_COMPLETE = {
    "insert": ("syncd propose insert {{table}} --unit {code} --set {set}", ("MÃ", "CODE")),
    "update": ("syncd propose update {{table}} {{id}} --set {set}", ("", "")),
    "delete": ("syncd propose delete {{table}} {{id}} --reason {set}", ("", "")),
}
_VALUES = {"delete": ("'lý do'", "'why'")}


def complete(message: str, op: str) -> str:
    """The template with the whole command of one operation, in the words of either language."""
    vietnamese, slash, english = message.partition(" / table ")
    return slash.join(
        part.replace(COMMAND, command(op, place)) for place, part in enumerate((vietnamese, english)) if part
    )


def command(op: str, place: int, column: str = "", code: str = "") -> str:
    """What to type, with `{table}` and `{id}`; `place` 0 in Vietnamese, 1 in English; the rest where it is known."""
    text, codes = _COMPLETE[op]
    value = ("giá_trị", "value")[place]
    wished = _VALUES[op][place] if op in _VALUES else f"{column or ('cột', 'column')[place]}={value}"
    return text.format(code=code or codes[place], set=wished)
