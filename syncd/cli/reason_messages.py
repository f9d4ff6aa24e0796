"""What happened, as stored and sent in English, and the same for a Vietnamese operator.

Enters: nothing. Leaves: pairs of texts for `reasons.py`. Must hold: the English is that of the code, with names for
its facts; of two that fit one text the narrower stands first (`tests/unit/test_language.py` reads the code).
"""

from __future__ import annotations

from syncd.language import Both

MESSAGES = (
    Both(
        "chương trình khác đã sửa cấu trúc bảng ({n} chỗ): {what}. Thay đổi chưa được gửi đi, không mất gì",
        "another program changed the tables ({n} places): {what}. Changes are not sent now, nothing is lost",
    ),
    Both(
        "chương trình khác đã sửa cấu trúc bảng ({n} chỗ): {what}. Thay đổi chưa được gửi đi",
        "another program changed the tables ({n} places): {what}. Changes are not sent now",
    ),
    # streams that stand still (applying, apply, open, receive, exchange)
    Both("chưa có khóa của nhật ký {stream}", "no key yet for stream {stream}"),
    Both(
        "gói {seq} của nhật ký {stream} được ghi theo danh mục đơn vị mới hơn",
        "envelope {seq} of stream {stream} was written under a newer unit tree",
    ),
    Both(
        "gói {seq} của nhật ký {stream} cần lược đồ {wanted}, bản này có {found}",
        "envelope {seq} of stream {stream} needs schema revision {wanted}, this release has {found}",
    ),
    Both(
        "gói {seq} của nhật ký {stream} có phần dành cho đối tượng mà bản này chưa biết",
        "envelope {seq} of stream {stream} has a part for an audience unknown here",
    ),
    Both(
        "gói {seq} của nhật ký {stream} mất phần dành cho đối tượng {audience}",
        "envelope {seq} of stream {stream} has lost its part for audience {audience}",
    ),
    Both(
        "nhật ký {stream} mang bảng {table} với cột mà bản này chưa biết",
        "stream {stream} carries table {table} with columns this release does not know",
    ),
    Both(
        "nhật ký {stream} thêm bản ghi của bảng {table} mà ở đây đã có",
        "stream {stream} inserts rows of {table} that are here already",
    ),
    Both(
        "không ghép lại được nhật ký để so với bảng: {error}",
        "the log could not be put together beside the tables: {error}",
    ),
    Both(
        "nhật ký {stream} (loại {kind}) mang bản ghi của bảng {table}",
        "stream {stream} (kind {kind}) carries rows of table {table}",
    ),
    Both(
        "nhật ký {stream} mang {column} trong phần dành cho {audience}",
        "stream {stream} carries {column} in the part for {audience}",
    ),
    Both(
        "nhật ký {stream} ghi bản ghi bảng {table} có mã do máy khác cấp",
        "stream {stream} writes rows of {table} whose ids were minted by another node",
    ),
    Both(
        "nhật ký {stream} thêm bản ghi bảng {table} thiếu cột được đếm",
        "stream {stream} inserts rows of {table} without a counted column",
    ),
    Both(
        "nhật ký {stream} sửa {stated} bản ghi bảng {table}, trong đó {missing} không có ở đây",
        "stream {stream} changes {stated} rows of {table}, of which {missing} are not here",
    ),
    Both(
        "gói {seq} của nhật ký {stream}: phần công khai đã bị sửa",
        "envelope {seq} of stream {stream}: the public part was altered",
    ),
    Both(
        "gói {seq} của nhật ký {stream}: khóa kỳ {epoch} không mở được phần dành cho đối tượng {audience}",
        "envelope {seq} of stream {stream}: the part for audience {audience} does not open with the key of epoch "
        "{epoch}",
    ),
    Both(
        "nhật ký {stream} do máy này ghi, nhưng {peer} có nhiều hơn",
        "stream {stream} is written here, yet {peer} holds more of it than this node",
    ),
    Both(
        "gói {seq} của nhật ký {stream} tới trước gói đầu tiên",
        "envelope {seq} of stream {stream} came before its first",
    ),
    Both(
        "gói {seq} của nhật ký {stream} tới mà thiếu phần dành cho đối tượng {audience}",
        "envelope {seq} of stream {stream} came without its part for audience {audience}",
    ),
    Both(
        "{keeper} không giữ nhật ký {stream} trong nhiệm kỳ {term}: {kind}",
        "{keeper} does not keep {kind} stream {stream} in term {term}",
    ),
    Both(
        "máy lân cận {peer} không có phần trong nhật ký {stream} của {keeper}",
        "neighbour {peer} has no part in stream {stream} of {keeper}",
    ),
    Both(
        "chưa có bản ghi máy nào nói rằng {keeper} giữ nhật ký {stream}",
        "no node record says yet that {keeper} keeps stream {stream}",
    ),
    Both(
        "gói {seq} của nhật ký {stream} được ghi sau khi nhiệm kỳ của {keeper} đã kết thúc",
        "envelope {seq} of stream {stream} was written after the term of {keeper} ended",
    ),
    Both("cấp trên có quá khứ khác tại vị trí {seq}", "the parent holds another past at position {seq}"),
    Both("{place} đã có ở đây, nhật ký đang ở {seq}", "{place} is here already, the stream stands at {seq}"),
    Both("{place} đã tới, còn thiếu từ {seq}", "{place} came, {seq} is next"),
    Both(
        "{place} nối tiếp một quá khứ khác với bản đang giữ",
        "{place} continues another past than the one kept here",
    ),
    Both("{place} khác với gói đang giữ ở đây", "{place} is another than the one kept here"),
    Both("{place} không mang chữ ký của nơi giữ sổ", "{place} does not carry its keeper's signature"),
    Both(
        "{place}: phần dành cho đối tượng {audience} đã bị sửa",
        "{place}: the part for audience {audience} was altered",
    ),
    Both("nội dung không đúng dạng của giao thức", "a body does not have the form of the protocol"),
    Both("điểm đối soát không đúng dạng của giao thức", "a checkpoint does not have the form of the protocol"),
    Both(
        "nội dung có bảng {table}, các cột {columns} mà máy này chưa biết",
        "a body has table {table}, columns {columns}, which this node does not know",
    ),
    Both("nhật ký {stream} thiếu vị trí {seq}", "log of stream {stream} lacks seq {seq}"),
    Both(
        "máy {peer} nói giao thức {least} đến {most}, máy này {own}",
        "node {peer} speaks protocol {least} to {most}, this node {own}",
    ),
    # units that pass on, rows that move (handover, moved_rows, rebuild)
    Both(
        "nhật ký {stream} nhận tiếp một đơn vị, nhưng lệnh bàn giao hoặc phần cuối của nhiệm kỳ trước chưa tới đây",
        "stream {stream} takes a unit over, but the order for it or the end of the term before is not here",
    ),
    Both(
        "nhật ký {stream} nối tiếp từ một điểm khác với điểm kết thúc nhiệm kỳ trước",
        "stream {stream} takes over from another end than the one of the term before it",
    ),
    Both(
        "nhật ký {stream} nối tiếp nhật ký {before}, nhật ký đó ở đây chưa vào bảng tới vị trí {seq}",
        "stream {stream} follows stream {before}, which is not applied up to {seq} here",
    ),
    Both(
        "nhật ký {stream} nhận các bản ghi mà nhật ký của đơn vị {unit} ở đây chưa giao ra",
        "stream {stream} takes rows that the stream of unit {unit} has not given up here",
    ),
    Both(
        "nhật ký {stream} quyết định điều mà nhật ký của đơn vị {unit} ở đây chưa chuyển sang",
        "stream {stream} decides what the stream of unit {unit} has not referred to it here",
    ),
    Both(
        "nhật ký {stream} nhận các bản ghi bảng {table} mà nhật ký của đơn vị khác ở đây chưa giao ra",
        "stream {stream} takes rows of {table} that another unit's stream has not given up here",
    ),
    Both(
        "bản ghi của nhật ký {stream} được ghi ở đây và chưa vào đó",
        "rows of stream {stream} were written here and are not in its log yet",
    ),
    Both(
        "nhật ký {stream} bắt đầu sau {seq}; không bản nền nào tới đó",
        "the log of stream {stream} begins behind {seq}; no baseline reaches there",
    ),
    Both(
        "nhật ký {stream} đã đi tiếp trong khi vị trí {seq} đang được ghi",
        "stream {stream} moved on while position {seq} was being written",
    ),
    Both("tiến trình khác đã xử lý sổ ghi thay đổi này", "another process sequenced this journal"),
    # baselines and receipts (baseline, floor, receipt)
    Both(
        "bản nền của nhật ký {stream} sẽ chiếm hơn {most} byte",
        "a baseline of stream {stream} would take more than {most} bytes",
    ),
    Both(
        "{keeper} đưa bản nền của một nhật ký mà đơn vị {unit} chưa từng có trong nhiệm kỳ {term}",
        "{keeper} offers a baseline of a stream that unit {unit} never had in term {term}",
    ),
    Both(
        "bản nền của nhật ký {stream} do một máy không còn giữ nhật ký đó lập",
        "a baseline of stream {stream} comes from a node that does not keep it any more",
    ),
    Both("giấy xác nhận không mang chữ ký của máy gốc", "a receipt does not carry the custodian's signature"),
    Both("giấy xác nhận nêu một máy gốc khác", "a receipt names another custodian"),
    Both("giấy xác nhận thuộc bậc {level}", "a receipt of level {level}"),
    Both("giấy xác nhận không đúng dạng của giao thức", "a receipt does not have the form of the protocol"),
    Both(
        "máy gốc giữ một gói khác tại vị trí {seq} của nhật ký {stream}",
        "the custodian holds another envelope at position {seq} of stream {stream}",
    ),
    # envelopes, parts, bodies, frames, messages (envelope, compress, wire, framing, messages, upload)
    Both(
        "một phần khai {size} byte khi mở, giới hạn là {most}", "a part states {size} plain bytes, the limit is {most}"
    ),
    Both("một phần không phải khung zstd mà máy này đọc được", "a part is not a zstd frame that this node reads"),
    Both(
        "một phần mở ra dài hơn {size} byte đã khai", "a part unfolds to more than the {size} bytes its header states"
    ),
    Both(
        "một phần không phải đúng một khung zstd có độ dài đã khai",
        "a part is not exactly one zstd frame of the stated size",
    ),
    Both("{place} sẽ chiếm {size} byte", "{place} would take {size} bytes"),
    Both("một gói {size} byte, giới hạn là {most}", "an envelope of {size} bytes, the limit is {most}"),
    Both(
        "phần đầu của một gói khai {size} byte, giới hạn là {most}",
        "an envelope's header states {size} bytes, the limit is {most}",
    ),
    Both(
        "một gói bị cắt sau {size} byte, ngay trong phần đầu hoặc chữ ký",
        "an envelope ends after {size} bytes, inside its header or signature",
    ),
    Both("một mã định danh không phải UUID dạng chuẩn", "an id is not a UUID in canonical form"),
    Both("một mã định danh không phải UUID", "an id is not a UUID"),
    Both(
        "một gói của giao thức phiên bản {found}, máy này nói {own}",
        "an envelope of protocol version {found}, this node speaks {own}",
    ),
    Both("phần đầu của một gói không ở dạng mã hóa duy nhất", "an envelope's header is not in its only encoding"),
    Both(
        "phần đầu của một gói không đúng dạng của giao thức",
        "an envelope's header does not have the form of the protocol",
    ),
    Both(
        "{place}: nhật ký bắt đầu tại 1 với lời khai sinh và các số không, và chỉ tại đó",
        "{place}: a stream begins at 1 with its genesis and zeros, and only there",
    ),
    Both(
        "{place} mở đầu một nhật ký mà lời khai sinh của nó không nêu",
        "{place} begins a stream that its genesis does not name",
    ),
    Both(
        "{place}: ai nhận tiếp, hoặc là bản nền, thì nêu của cái gì; ngoài ra không ai nêu",
        "{place}: who takes over, or is a baseline, names what of; nobody else does",
    ),
    Both(
        "{place}: vị trí 0 có mã băm toàn số không, và không bản nền nào thay cho nó",
        "{place}: position 0 has the hash of zeros, and no baseline stands for it",
    ),
    Both("{place}: các phần không theo thứ tự đối tượng", "{place}: parts are not in the order of their audiences"),
    Both("{place}: phần công khai, và chỉ phần đó, có kỳ 0", "{place}: the public part, and no other, has epoch 0"),
    Both("{place} thiếu những phần mà phần đầu của nó không nêu", "{place} misses parts that its header does not name"),
    Both("{place} bị cắt sau {found} trong {total} byte", "{place} ends after {found} of {total} bytes"),
    Both("{place} thừa {more} byte", "{place} has {more} bytes too many"),
    Both("{place} mang những phần khác với phần đầu nêu", "{place} carries other parts than its header names"),
    Both("nội dung vượt {rows} bản ghi hoặc {blocks} khối", "a body above {rows} rows or {blocks} blocks"),
    Both(
        "một khối của bảng {table} có các cột dài ngắn khác nhau hoặc không có bản ghi",
        "a block of table {table} has columns of different lengths or no rows",
    ),
    Both(
        "một khối của bảng {table} nêu các cột khác với các cột nó mang",
        "a block of table {table} names other columns than it carries",
    ),
    Both("nội dung khai hơn {rows} bản ghi", "a body states more than {rows} rows"),
    Both("các bản ghi cho COPY có cột dài ngắn khác nhau", "rows for COPY have columns of different lengths"),
    Both("nội dung khai {n} mục, giới hạn là {most}", "a body states {n} items, the limit is {most}"),
    Both("một khung khai {size} byte, giới hạn là {most}", "a frame states {size} bytes, the limit is {most}"),
    Both("một khung khai {size} byte, quá ít cho một gói", "a frame states {size} bytes, too few for an envelope"),
    Both("khung bị bỏ {out} byte, ở đây giữ {kept}", "{out} bytes of a frame are left out, {kept} are kept here"),
    Both("lần gửi kết thúc giữa một khung", "a push ends inside a frame"),
    Both("thông điệp {size} byte", "a message of {size} bytes"),
    Both("thông điệp không phải {kind}", "a message is not a {kind}"),
    # exchanges that failed (net/client, net/http, security/tls)
    Both("{place} không trả lời ({error})", "{place} does not answer ({error})"),
    Both(
        "{place} chờ mãi không nhận đủ câu hỏi: đường truyền bị nghẽn giữa chừng",
        "{place} waited in vain for the rest of the question: the line stalls",
    ),
    Both("trao đổi với {place} bị đứt ({error})", "the exchange with {place} broke off ({error})"),
    Both("{place} gửi quá nhiều hoặc quá chậm", "{place} sends too much or too slowly"),
    Both("{place} trả lời không như một máy", "{place} does not answer as a node does"),
    Both("trả lời vượt {most} byte", "an answer above {most} bytes"),
    Both("quá nhiều lần gia nhập đã hỏng", "too many joins have failed"),
    Both("trả lời mang nhiều gói hơn đã báo", "an answer brings more frames than it states"),
    Both(
        "{place} trả lời với mã {status}, không như một máy",
        "{place} answers with status {status}, not as a node does",
    ),
    Both("{place} bị lỗi ({status}): {text}", "{place} failed ({status}): {text}"),
    Both("{place} từ chối chứng thư của máy này ({reason})", "{place} refuses our certificate ({reason})"),
    Both("kết nối TLS tới {place} bị đứt ({reason})", "the TLS connection to {place} broke ({reason})"),
    Both("chứng thư của {place} chưa có hiệu lực", "the certificate of {place} is not valid yet"),
    Both("chứng thư của {place} đã hết hạn", "the certificate of {place} has expired"),
    Both("{place} là máy khác với máy đã gia nhập", "{place} is another node than the one enrolled"),
    Both(
        "chứng thư của {place} không dẫn tới gốc của cây này ({reason})",
        "the certificate of {place} does not lead to our root ({reason})",
    ),
    # what a parent answers (net/server, admission)
    Both("máy con không đưa chứng thư", "no certificate was shown"),
    Both("máy {node} đã bị thu hồi", "node {node} is not enrolled any more: it was revoked"),
    Both("máy {node} chưa gia nhập dưới máy cấp trên này", "node {node} is not enrolled below this node"),
    Both("máy {node} đã được cấp chứng thư khác", "node {node} was given another certificate since"),
    Both("cấp trên này chưa từng cấp mã đó", "this parent never gave out that token"),
    Both("máy khác đã dùng mã đó", "another node has used that token"),
    Both("mã đó đã hết hạn lúc {when}", "that token expired at {when}"),
    Both(
        "mã đó dành cho máy không có máy con, nhưng máy này đặt `listen`",
        "that token is for a node without children, but this one has `listen` set",
    ),
    Both("đơn vị {unit} do máy {holder} giữ", "unit {unit} is kept by node {holder}"),
    Both("đơn vị {unit} của mã đó không còn", "the unit {unit} of that token is gone"),
    Both(
        "máy {node} đã gia nhập, giữ đơn vị {unit} dưới {parent}",
        "node {node} is enrolled already, for unit {unit} below {parent}",
    ),
    Both(
        "khóa của máy {node} trùng nhãn với máy {bearer}",
        "the keys of node {node} give it the tag of node {bearer}",
    ),
    Both("cấp trên gặp lỗi", "the parent failed"),
    Both("máy chủ cấp trên chưa bắt đầu", "the server has not begun"),
    Both("nội dung {size} byte", "a body of {size} bytes"),
    Both("nội dung {size} byte, giới hạn là {most}", "a body of {size} bytes, the limit is {most}"),
    # the keys of this node, values it cannot seal
    Both(
        "không có khóa kỳ {epoch} cho đối tượng {audience} của nhật ký {stream}",
        "no key of epoch {epoch} for audience {audience} of stream {stream}",
    ),
    Both(
        "bảng {table}, cột {column}: giá trị không dùng được trong gói gửi đi",
        "table {table}, column {column}: a value is not canonical",
    ),
    Both(
        "bảng {table}, bản ghi {row}: bản ghi này dài hơn mọi gói có thể gửi",
        "table {table}, row {row}: this row is longer than any envelope",
    ),
    Both("các phần dài {size} byte, giới hạn là {most}", "parts of {size} bytes, the limit is {most}"),
    Both(
        "{place}: các phần mở ra dài {size} byte, giới hạn là {most}",
        "{place}: bodies of {size} bytes, the limit is {most}",
    ),
    Both("các phần mở ra dài {size} byte, giới hạn là {most}", "bodies of {size} bytes, the limit is {most}"),
    # what one neighbour may bring and ask
    Both(
        "một câu hỏi lớn khác của máy {node} còn đang được trả lời",
        "another large question of node {node} is still being answered",
    ),
    Both(
        "các bản ghi của một gói mở ra dài hơn {most} byte",
        "the rows of an envelope unfold to more than {most} bytes",
    ),
    Both(
        "máy {node} ghi nhận {found} máy hoặc lệnh, quá {most}",
        "node {node} records {found} nodes or orders, more than {most}",
    ),
    Both(
        "máy {node} mang {found} bản cấp khóa hoặc bản ghi khác, nhiều hơn {most}",
        "node {node} records {found} key grants or other rows, more than {most}",
    ),
    Both(
        "bản nền đứng tại vị trí {seq} của nhật ký {stream}, nơi đã có một gói khác",
        "a baseline stands for position {seq} of stream {stream}, where another envelope is held",
    ),
    Both(
        "đã giữ {n} bản nền của nhật ký {stream}, không nhận thêm",
        "{n} baselines of stream {stream} are held, and no more are taken",
    ),
    # statements that a database does not understand (cli/sql)
    Both("không có bảng {table}", "no such table: {table}"),
    Both("không có cột {column}", "no such column: {column}"),
    Both("không có hàm {name}", "no such function: {name}"),
    Both("bảng {table} không có cột {column}", "table {table} has no column named {column}"),
    Both("cột {column} có ở nhiều bảng; hãy nêu bảng.cột", "ambiguous column name: {column}"),
    Both("sai cú pháp gần {text}", 'near "{text}": syntax error'),
    Both("câu lệnh chưa trọn vẹn", "incomplete input"),
    Both("không hiểu {text}", "unrecognized token: {text}"),
    Both("{n} giá trị cho {columns} cột", "{n} values for {columns} columns"),
    Both(
        "bảng {table} có {columns} cột, câu lệnh nêu {n} giá trị",
        "table {table} has {columns} columns but {n} values were supplied",
    ),
    Both("bảng {table} không có cột {column}", 'column "{column}" of relation "{table}" does not exist'),
    Both("không có bảng {table}", 'relation "{table}" does not exist'),
    Both("không có cột {column}", 'column "{column}" does not exist'),
    Both("không có cột {column}", "column {column} does not exist"),
    Both("không có hàm {name}", "function {name} does not exist"),
    Both("sai cú pháp gần {text}", 'syntax error at or near "{text}"'),
    Both("câu lệnh chưa trọn vẹn", "syntax error at end of input"),
    # databases and disks (store, system)
    Both(
        "chỉ mục hoặc ràng buộc duy nhất {what}, không phải của syncd, không nhận một bản ghi",
        "a unique index or constraint that is not syncd's refuses a row: {what}",
    ),
    Both(
        "một bản ghi chỉ tới bản ghi không có, hoặc bản ghi bị xóa còn được bản ghi khác chỉ tới",
        "a row refers to a row that does not exist, or other rows still refer to one that was deleted",
    ),
    Both("{what}: đĩa đầy", "{what}: no space left"),
)

# Facts of a message that are themselves said in words.
FACTS = (
    Both("gói {seq} của nhật ký {stream}", "envelope {seq} of stream {stream}"),
    Both("bảng {table} không còn cột {column}", "table {table} has no column {column} any more"),
    Both("không còn bảng {table}", "table {table} is not there any more"),
    Both("bảng {table} được tạo WITHOUT ROWID", "table {table} was made WITHOUT ROWID"),
    Both("bảng {table} không còn khóa trên cột id", "table {table} has no key on its column id any more"),
    Both("cột {column} nay có kiểu {kind}", "column {column} is of type {kind} now"),
    Both(
        "bảng {child} kế thừa {table}: bản ghi ghi vào đó không qua trigger",
        "table {child} inherits {table}: rows written there pass the triggers by",
    ),
    Both(
        "bảng {table} kế thừa {parent}: bản ghi sửa ở đó không qua trigger",
        "table {table} inherits {parent}: rows changed there pass the triggers by",
    ),
    Both(
        "quy tắc {rule} đổi câu lệnh ghi vào bảng {table}", "the rule {rule} rewrites what is written to table {table}"
    ),
    Both(
        "bảng {table} bật bảo mật theo dòng: chương trình đồng bộ có thể không thấy hết bản ghi",
        "table {table} has row level security on: the daemon may not see every row",
    ),
    Both("bảng {table} là UNLOGGED: mất điện là mất hết", "table {table} is UNLOGGED: a power cut empties it"),
)
