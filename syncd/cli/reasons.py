"""Reasons that another process wrote, as an operator reads them: what the database stores, what the parent sent.

Enters: texts in English, `what happened — what to do`, written by any node in any language's process. Leaves: the same
text in the operator's language where it is known here, else as it came. Must hold: nothing is lost that the text said.
"""

from __future__ import annotations

import re
from functools import lru_cache

from syncd.errors import JoinRefused, ParentUnreachable, SyncdError, TokenError, TooLarge, TrustError, Unsupported
from syncd.language import Both, Said, language

# The address a parent's answer came from, before what it said.
PLACE = re.compile(r"(https://\S+ \(node [0-9a-f-]{36}\): )?(.*)", re.DOTALL)


def told(error: SyncdError) -> str:
    """An error of this process, or one that came from another node, for the operator here."""
    if isinstance(error.message, Said) or language() == "en":
        return str(error)
    found = told_text(error.english)
    return found if found != error.english else f"{_kind(error)}{found}"


def told_text(text: str) -> str:
    """A stored reason for the operator here."""
    if language() == "en":
        return text
    what, dash, remedy = text.partition(" — ")
    place, said = _parts(what)
    return f"{place}{_translated(said, MESSAGES)}{dash}{_translated(remedy, REMEDIES)}"


def _parts(text: str) -> tuple[str, str]:
    found = PLACE.fullmatch(text)
    return (found[1] or "", found[2]) if found else ("", text)


def _translated(text: str, known: tuple[Both, ...]) -> str:
    for pattern, words in _patterns(known):
        found = pattern.fullmatch(text)
        if found:
            return words.here.format(**found.groupdict())
    return text


@lru_cache(maxsize=2)
def _patterns(known: tuple[Both, ...]) -> list[tuple[re.Pattern[str], Both]]:
    """The English of each text as a pattern whose groups are its facts."""
    return [
        (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(words.en)), re.DOTALL), words) for words in known
    ]


def _kind(error: SyncdError) -> str:
    """Where the text itself is not known here: at least what sort of trouble it is."""
    for kind, words in KINDS:
        if isinstance(error, kind):
            return f"{words.here}: "
    return ""


KINDS: tuple[tuple[type[SyncdError], Both], ...] = (
    (TokenError, Both("cấp trên từ chối mã gia nhập", "the parent refuses the token")),
    (JoinRefused, Both("cấp trên từ chối gia nhập", "the parent refuses the join")),
    (TrustError, Both("cấp trên không chấp nhận nút này", "the parent refuses this node")),
    (Unsupported, Both("hai nút khác phiên bản", "the two nodes differ in version")),
    (TooLarge, Both("gói dữ liệu quá lớn", "too large")),
    (ParentUnreachable, Both("cấp trên chưa làm được", "the parent could not do it")),
)

MESSAGES = (
    # streams that stand still (applying, apply, open, receive, exchange)
    Both("chưa có khóa của luồng {stream}", "no key yet for stream {stream}"),
    Both(
        "lô {seq} của luồng {stream} được ghi theo danh mục đơn vị mới hơn",
        "envelope {seq} of stream {stream} was written under a newer unit tree",
    ),
    Both(
        "lô {seq} của luồng {stream} cần lược đồ {wanted}, bản này có {found}",
        "envelope {seq} of stream {stream} needs schema revision {wanted}, this release has {found}",
    ),
    Both(
        "lô {seq} của luồng {stream} có phần dành cho đối tượng mà bản này chưa biết",
        "envelope {seq} of stream {stream} has a part for an audience unknown here",
    ),
    Both(
        "lô {seq} của luồng {stream} mất phần dành cho đối tượng {audience}",
        "envelope {seq} of stream {stream} has lost its part for audience {audience}",
    ),
    Both(
        "luồng {stream} mang bảng {table} với cột mà bản này chưa biết",
        "stream {stream} carries table {table} with columns this release does not know",
    ),
    Both(
        "luồng {stream} (loại {kind}) mang bản ghi của bảng {table}",
        "stream {stream} (kind {kind}) carries rows of table {table}",
    ),
    Both(
        "luồng {stream} mang {column} trong phần dành cho {audience}",
        "stream {stream} carries {column} in the part for {audience}",
    ),
    Both(
        "luồng {stream} ghi bản ghi bảng {table} có mã do nút khác cấp",
        "stream {stream} writes rows of {table} whose ids were minted by another node",
    ),
    Both(
        "luồng {stream} thêm bản ghi bảng {table} thiếu cột được đếm",
        "stream {stream} inserts rows of {table} without a counted column",
    ),
    Both(
        "luồng {stream} sửa {stated} bản ghi bảng {table}, trong đó {missing} không có ở đây",
        "stream {stream} changes {stated} rows of {table}, of which {missing} are not here",
    ),
    Both(
        "lô {seq} của luồng {stream}: phần công khai đã bị sửa",
        "envelope {seq} of stream {stream}: the public part was altered",
    ),
    Both(
        "lô {seq} của luồng {stream}: khóa kỳ {epoch} không mở được phần dành cho đối tượng {audience}",
        "envelope {seq} of stream {stream}: the part for audience {audience} does not open with the key of epoch "
        "{epoch}",
    ),
    Both(
        "luồng {stream} do nút này ghi, nhưng {peer} có nhiều hơn",
        "stream {stream} is written here, yet {peer} holds more of it than this node",
    ),
    Both(
        "lô {seq} của luồng {stream} tới trước lô đầu tiên",
        "envelope {seq} of stream {stream} came before its first",
    ),
    Both(
        "lô {seq} của luồng {stream} tới mà thiếu phần dành cho đối tượng {audience}",
        "envelope {seq} of stream {stream} came without its part for audience {audience}",
    ),
    Both(
        "{keeper} không giữ luồng {stream} trong nhiệm kỳ {term}: {kind}",
        "{keeper} does not keep {kind} stream {stream} in term {term}",
    ),
    Both(
        "nút lân cận {peer} không có phần trong luồng {stream} của {keeper}",
        "neighbour {peer} has no part in stream {stream} of {keeper}",
    ),
    Both(
        "chưa có bản ghi nút nào nói rằng {keeper} giữ luồng {stream}",
        "no node record says yet that {keeper} keeps stream {stream}",
    ),
    Both(
        "lô {seq} của luồng {stream} được ghi sau khi nhiệm kỳ của {keeper} đã kết thúc",
        "envelope {seq} of stream {stream} was written after the term of {keeper} ended",
    ),
    Both("cấp trên có quá khứ khác tại vị trí {seq}", "the parent holds another past at position {seq}"),
    Both("{place} đã có ở đây, luồng đang ở {seq}", "{place} is here already, the stream stands at {seq}"),
    Both("{place} đã tới, còn thiếu từ {seq}", "{place} came, {seq} is next"),
    Both(
        "{place} nối tiếp một quá khứ khác với bản đang giữ",
        "{place} continues another past than the one kept here",
    ),
    Both("{place} khác với lô đang giữ ở đây", "{place} is another than the one kept here"),
    Both("{place} không mang chữ ký của nút giữ sổ", "{place} does not carry its keeper's signature"),
    Both(
        "{place}: phần dành cho đối tượng {audience} đã bị sửa",
        "{place}: the part for audience {audience} was altered",
    ),
    Both("nội dung không đúng dạng của giao thức", "a body does not have the form of the protocol"),
    Both("mốc đối soát không đúng dạng của giao thức", "a checkpoint does not have the form of the protocol"),
    Both(
        "nội dung có bảng {table}, các cột {columns} mà nút này chưa biết",
        "a body has table {table}, columns {columns}, which this node does not know",
    ),
    Both("nhật ký của luồng {stream} thiếu vị trí {seq}", "log of stream {stream} lacks seq {seq}"),
    Both(
        "nút {peer} nói giao thức {least} đến {most}, nút này {own}",
        "node {peer} speaks protocol {least} to {most}, this node {own}",
    ),
    # exchanges that failed (net/client, net/http, security/tls)
    Both("{place} không trả lời ({error})", "{place} does not answer ({error})"),
    Both("trao đổi với {place} bị đứt ({error})", "the exchange with {place} broke off ({error})"),
    Both("{place} gửi quá nhiều hoặc quá chậm", "{place} sends too much or too slowly"),
    Both(
        "{place} trả lời với mã {status}, không như một nút",
        "{place} answers with status {status}, not as a node does",
    ),
    Both("{place} bị lỗi ({status}): {text}", "{place} failed ({status}): {text}"),
    Both("{place} từ chối chứng thư của nút này ({reason})", "{place} refuses our certificate ({reason})"),
    Both("kết nối TLS tới {place} bị đứt ({reason})", "the TLS connection to {place} broke ({reason})"),
    Both("chứng thư của {place} chưa có hiệu lực", "the certificate of {place} is not valid yet"),
    Both("chứng thư của {place} đã hết hạn", "the certificate of {place} has expired"),
    Both("{place} là nút khác với nút đã gia nhập", "{place} is another node than the one enrolled"),
    Both(
        "chứng thư của {place} không dẫn tới gốc của cây này ({reason})",
        "the certificate of {place} does not lead to our root ({reason})",
    ),
    # what a parent answers (net/server, admission)
    Both("nút con không đưa chứng thư", "no certificate was shown"),
    Both("nút {node} chưa gia nhập dưới nút cấp trên này", "node {node} is not enrolled below this node"),
    Both("nút {node} đã được cấp chứng thư khác", "node {node} was given another certificate since"),
    Both("cấp trên này chưa từng cấp mã đó", "this parent never gave out that token"),
    Both("nút khác đã dùng mã đó", "another node has used that token"),
    Both("mã đó đã hết hạn lúc {when}", "that token expired at {when}"),
    Both(
        "mã đó dành cho nút không có nút con, nhưng nút này đặt `listen`",
        "that token is for a node without children, but this one has `listen` set",
    ),
    Both("đơn vị {unit} do nút {holder} giữ", "unit {unit} is kept by node {holder}"),
    Both("đơn vị {unit} của mã đó không còn", "the unit {unit} of that token is gone"),
    Both(
        "nút {node} đã ở trạng thái {status} cho đơn vị {unit} dưới {parent}",
        "node {node} is {status} for unit {unit} below {parent}",
    ),
    Both(
        "khóa của nút {node} trùng nhãn với nút {bearer}",
        "the keys of node {node} give it the tag of node {bearer}",
    ),
    Both("cấp trên gặp lỗi", "the parent failed"),
    Both("máy chủ cấp trên chưa bắt đầu", "the server has not begun"),
    Both("nội dung {size} byte", "a body of {size} bytes"),
    Both("nội dung {size} byte, giới hạn là {most}", "a body of {size} bytes, the limit is {most}"),
    # the keys of this node, values it cannot seal
    Both(
        "không có khóa kỳ {epoch} cho đối tượng {audience} của luồng {stream}",
        "no key of epoch {epoch} for audience {audience} of stream {stream}",
    ),
    Both(
        "bảng {table}, cột {column}: giá trị không dùng được trong lô gửi đi",
        "table {table}, column {column}: a value is not canonical",
    ),
    # databases and disks (store, system)
    Both(
        "chương trình khác đang khóa cơ sở dữ liệu {place}: {text}",
        "the database {place} is locked by another program: {text}",
    ),
    Both(
        "khóa này không mở được cơ sở dữ liệu {place}: {text}",
        "the database {place} does not open with this key: {text}",
    ),
    Both("hết chỗ cho cơ sở dữ liệu {place}: {text}", "no space left for the database {place}: {text}"),
    Both("cơ sở dữ liệu {place}: {text}", "database {place}: {text}"),
    Both("PostgreSQL không trả lời: {error}", "PostgreSQL does not answer: {error}"),
    Both("PostgreSQL bị ngắt: {text}", "PostgreSQL broke off: {text}"),
    Both("PostgreSQL hết chỗ trên đĩa: {text}", "PostgreSQL has no space left: {text}"),
    Both("{what}: đĩa đầy", "{what}: no space left"),
)

REMEDIES = (
    Both("luồng tự tiếp tục khi khóa tới", "the stream goes on by itself when the key grant has arrived"),
    Both("luồng tự tiếp tục khi đơn vị tới", "the stream goes on by itself when the units have arrived"),
    Both(
        "nâng cấp syncd ở nút này; sau đó luồng tự tiếp tục",
        "upgrade syncd on this node; the stream goes on by itself afterwards",
    ),
    Both(
        "nâng cấp nút này; luồng chờ rồi tự tiếp tục", "upgrade this node; the stream waits and then goes on by itself"
    ),
    Both("nâng cấp nút cũ hơn (cấp trên trước)", "upgrade the older of the two nodes (parents first)"),
    Both("nâng cấp nút cũ hơn trong hai nút", "upgrade the older of the two nodes"),
    Both("chưa có gì được đưa vào bảng", "nothing was applied"),
    Both(
        "chưa có gì được đưa vào bảng; khôi phục bản sao lưu cuối của cơ sở dữ liệu này",
        "nothing was applied; restore the last backup of this database",
    ),
    Both("khôi phục bản sao lưu cuối của cơ sở dữ liệu này", "restore the last backup of this database"),
    Both(
        "chưa có gì được đưa vào bảng; luồng dừng ở đây: báo bộ phận CNTT",
        "nothing was applied; the stream stops here: ask IT",
    ),
    Both(
        "nút gửi hỏng hoặc có ý xấu; chưa có gì được đưa vào bảng",
        "the sender is faulty or hostile; nothing was applied",
    ),
    Both(
        "nút gửi hỏng hoặc có ý xấu; chưa có gì được đưa vào bảng; hỏi người quản trị nút gửi",
        "the sender is faulty or hostile; nothing was applied; ask the sending node's operator",
    ),
    Both(
        "bản sao ở nút này khác nút giữ sổ: chạy `syncd verify --full`",
        "this node's copy differs from the keeper's: run `syncd verify --full`",
    ),
    Both(
        "cơ sở dữ liệu này là bản cũ hoặc bị nhân bản: không ghi gì thêm cho tới khi có người kiểm tra",
        "this database is an older copy or was cloned: nothing is sealed until an operator has looked",
    ),
    Both(
        "chưa nhận gì; lần trao đổi sau lấy lại trọn vẹn",
        "nothing was taken over; the next exchange fetches the whole one",
    ),
    Both(
        "chưa nhận gì; lần trao đổi sau lấy lại; `syncd status` nêu luồng vẫn còn lỗi",
        "nothing was taken over; the next exchange fetches it again, `syncd status` names a stream that stays so",
    ),
    Both(
        "chưa nhận gì; có thể hai máy cùng ghi một luồng, `syncd status` nêu chúng",
        "nothing was taken over; two machines may write one stream, `syncd status` names them",
    ),
    Both(
        "`syncd status` nêu nút giữ đơn vị; chưa nhận gì",
        "the unit's keeper is named by `syncd status`; nothing was taken",
    ),
    Both(
        "cây giao luồng này đi đường khác; chưa nhận gì",
        "the tree gives this stream another way; nothing was taken",
    ),
    Both("lần trao đổi sau bắt đầu lại từ đầu", "the next exchange starts it from the beginning"),
    Both("lần trao đổi sau lấy phần còn thiếu", "the next exchange fetches what lies between"),
    Both("không cần làm gì", "nothing to do"),
    Both(
        "hai máy cùng ghi một luồng (đĩa bị nhân bản hoặc bản khôi phục): bên gửi nhận luồng này",
        "two machines extended one stream (a cloned disk or a restored copy): the sender takes this one over",
    ),
    Both(
        "hai máy cùng ghi một luồng (đĩa bị nhân bản hoặc bản khôi phục): xem `syncd conflicts list`",
        "two machines extended one stream (a cloned disk or a restored copy): see `syncd conflicts list`",
    ),
    Both(
        "sẽ tự thử lại; kiểm tra cấp trên có đang chạy, địa chỉ và đường truyền",
        "tried again by itself; check that the parent runs, its address, and the line",
    ),
    Both("nhật ký của cấp trên nói vì sao; sẽ tự thử lại", "its log says why; tried again by itself"),
    Both("sẽ tự thử lại", "tried again by itself"),
    Both("phần đã tới được giữ; sẽ tự thử lại", "what arrived is kept; tried again by itself"),
    Both("kiểm tra thiết bị giữa nút này và cấp trên", "check what stands between this node and its parent"),
    Both("kiểm tra địa chỉ cấp trên và thiết bị ở giữa", "check the parent's address, and what stands in between"),
    Both(
        "gia hạn (syncd join với mã mới) và kiểm tra đồng hồ",
        "renew it (syncd join with a new token), and check the clock",
    ),
    Both("sẽ tự thử lại; kiểm tra đường truyền và địa chỉ", "retried by itself; check the line and the address"),
    Both("đồng hồ máy này chậm: hãy chỉnh lại", "this computer's clock is behind: set it"),
    Both(
        "gia hạn ở đó; hoặc đồng hồ máy này nhanh: hãy chỉnh lại",
        "renew it there; or this computer's clock is ahead: set it",
    ),
    Both("kiểm tra địa chỉ cấp trên trong cấu hình", "check the parent's address in the configuration"),
    Both(
        "kiểm tra địa chỉ cấp trên; nếu đúng, có kẻ đứng giữa: gọi cho người quản trị cấp trên",
        "check the parent's address; if it is right, somebody stands in between: call the parent's operator",
    ),
    Both("gia nhập bằng mã: syncd join", "enrol this node with a token: syncd join"),
    Both("xin người quản trị nút cấp trên mã gia nhập", "ask this node's operator for a token"),
    Both(
        "dùng chứng thư mới nhất, hoặc gia nhập lại bằng mã mới",
        "use the newest certificate, or join again with a new token",
    ),
    Both("xin người quản trị cấp trên mã mới", "ask the parent's operator for a new one"),
    Both("xin người quản trị cấp trên mã mới", "ask the parent's operator for a new token"),
    Both(
        "bỏ `listen`, hoặc xin người quản trị cấp trên mã cho nút có nút con",
        "remove `listen`, or ask the parent's operator for a hub's token",
    ),
    Both(
        "trạm mới nhận đơn vị qua bàn giao; nút đang giữ có thể tự gia nhập lại",
        "a new station takes a unit over by a hand-over; the node that keeps it may join again itself",
    ),
    Both("gia nhập với khóa riêng: dùng thư mục trống", "join with keys of its own: use an empty directory"),
    Both("gia nhập với khóa mới: dùng thư mục trống", "join with new keys: use an empty directory"),
    Both("gia nhập lại bằng phiên bản syncd này với mã mới", "join again with this version of syncd and a new token"),
    Both(
        "đóng giao dịch đang mở của chương trình kia; syncd tự thử lại",
        "close the other program's open transaction; syncd tries again by itself",
    ),
    Both(
        "đặt đúng database.key bên cạnh cơ sở dữ liệu (hoặc khôi phục từ bản sao lưu khóa)",
        "put the right database.key beside the database (or restore it from the backup of the keys)",
    ),
    Both("chia thành phần nhỏ hơn", "seal smaller pieces"),
    Both("tối đa {most} byte, khai trước", "at most {most} bytes, stated in advance"),
    Both(
        "nó được để riêng; `syncd conflicts list` nêu nó, `syncd adopt` đưa các thay đổi của nó thành đề nghị",
        "it was put aside; `syncd conflicts list` names it, `syncd adopt` makes proposals of what it changes",
    ),
    Both(
        "chưa gửi gì; đặt lại đúng tệp khóa của nút này từ bản sao lưu",
        "nothing was sealed; put this node's own key files back from its backup",
    ),
    Both(
        "chưa gửi gì; sửa bản ghi đó, phần đã ghi sẽ tự đi tiếp",
        "nothing was sealed; correct the row, and what was written goes on by itself",
    ),
    Both("giải phóng đĩa; không mất gì đã ghi nhận", "free disk space; nothing acknowledged is lost"),
    Both(
        "giải phóng đĩa này; không mất gì đã ghi nhận",
        "free space on this disk; nothing that was acknowledged is lost",
    ),
    Both(
        "giao dịch khác đang giữ bản ghi; syncd tự thử lại",
        "another transaction holds the rows; syncd tries again by itself",
    ),
    Both("syncd tự kết nối lại; xem nhật ký máy chủ", "syncd reconnects by itself; see the server's log"),
    Both(
        "khởi động máy chủ hoặc sửa `database` trong syncd.toml", "start the server or correct `database` in syncd.toml"
    ),
    Both(
        "chạy `syncd verify`, và khôi phục bản sao lưu cuối nếu tệp hỏng",
        "run `syncd verify`, and restore the last backup if the file is damaged",
    ),
    Both(
        "chạy `syncd verify`; nhật ký máy chủ có câu lệnh đó", "run `syncd verify`; the server's log has the statement"
    ),
)
