"""What to do, as stored and sent in English, and the same for a Vietnamese operator.

Enters: nothing. Leaves: pairs of texts for `reasons.py`. Must hold: the English is that of the code, with names for
its facts; of two that fit one text the narrower stands first (`tests/unit/test_language.py` reads the code).
"""

from __future__ import annotations

from syncd.language import Both
from syncd.store.causes import PUT_BACK

REMEDIES = (
    Both("không có gì được ghi", "nothing was written"),
    Both(
        "phần đã tới được giữ, sẽ tự thử lại; nếu lặp lại, kiểm tra đường truyền (MTU, VPN, tường lửa)",
        "what arrived is kept, tried again by itself; if it comes again check the line (MTU, VPN, firewall)",
    ),
    Both(
        "chạy: {backs}; sau đó syncd tự tiếp tục, kể cả những gì đã ghi trong lúc này",
        "run: {backs}; then syncd goes on by itself, with what was written meanwhile",
    ),
    PUT_BACK,
    Both(
        "việc đồng bộ tự tiếp tục khi lệnh và phần cuối đó tới", "the stream goes on by itself when they have arrived"
    ),
    Both(
        "việc đồng bộ tự tiếp tục khi nhật ký trước nó tới",
        "the stream goes on by itself when the one before it has arrived",
    ),
    Both("việc đồng bộ tự tiếp tục khi nhật ký kia tới", "the stream goes on by itself when the other one has arrived"),
    Both(
        "chưa có gì được đưa vào bảng; hỏi người quản trị nơi giữ nhật ký",
        "nothing was applied; ask the operator of the node that keeps it",
    ),
    Both("chưa có gì được đưa vào bảng; lấy lại gói đó lần nữa", "nothing was applied; fetch the envelope again"),
    Both(
        "chưa có gì được đưa vào bảng; lấy lại gói đó, nếu vẫn vậy thì xin nơi giữ nhật ký một bản nền",
        "nothing was applied; fetch the envelope again, and if it stays so ask the keeper of the stream for a baseline",
    ),
    Both("máy gửi hỏng hoặc có ý xấu; chưa nhận gì", "the sender is faulty or hostile; nothing was taken"),
    Both("chưa nhận gì; máy gốc lập bản nền nơi cần", "nothing was taken; the root makes one where it is needed"),
    Both(
        "nhật ký của nó không được cắt bớt; hãy cho đơn vị lớn cỡ này các máy riêng",
        "its log is not pruned; give a unit of this size nodes of its own",
    ),
    Both(
        "các bản ghi của đơn vị này chờ ở đây, đơn vị khác vẫn đi tiếp; hãy rút ngắn hoặc xóa bản ghi đó, rồi mọi thứ"
        " tự tiếp tục",
        "the rows of this unit wait here, other units go on; shorten the row or delete it, and all goes on by itself",
    ),
    Both(
        "bỏ nó đi (cần tra nhanh thì tạo chỉ mục không UNIQUE); việc đồng bộ tự đi tiếp",
        "remove it (for speed an index without UNIQUE serves); the stream goes on by itself",
    ),
    Both(
        "giao dịch này không ghi gì; trong cùng giao dịch hãy thêm bản ghi được chỉ tới, hoặc xóa bản ghi chỉ tới nó",
        "nothing of this transaction was written; in the same transaction insert the row that is referred to, or delete"
        " those that refer to it",
    ),
    Both("ghi nhóm đó thành các phần nhỏ hơn", "write the group in smaller pieces"),
    Both("ghi nhóm đó thành nhiều phần", "write the group in pieces"),
    Both(
        "chưa có gì được đưa vào bảng; nơi ghi gửi các bản ghi như vậy thành nhiều phần nhỏ hơn",
        "nothing was applied; the writer sends such rows in smaller pieces",
    ),
    Both(
        "không nhận gì thêm từ nhật ký này; nếu máy đó bị chiếm, hãy giao đơn vị cho máy khác (syncd replace), "
        "nếu không"
        " hãy báo bộ phận tin học",
        "nothing more of this stream is taken; if that machine was seized give its unit another one (syncd replace),"
        " if not tell IT",
    ),
    Both(
        "các bản đã bị thay thế được bỏ ở lần bảo trì sau, khi đó sẽ nhận",
        "those that are superseded are forgotten with the next upkeep, then it is taken",
    ),
    Both("sẽ tự thử lại sau ít giây", "tried again by itself after some seconds"),
    Both("mã định danh có 36 ký tự, chữ thường", "ids have 36 characters, lower case"),
    Both(
        "chưa nhận gì của khung này; lần trao đổi sau bắt đầu sau gói trọn vẹn cuối cùng",
        "nothing of this frame was taken over; the next exchange begins after the last whole envelope",
    ),
    Both("lần chào sau nói đi tiếp từ đâu", "the next hello says where to go on"),
    Both(
        "một chương trình đồng bộ khác phục vụ cơ sở dữ liệu này; syncd tự thử lại",
        "another daemon serves this database; syncd tries again by itself",
    ),
    Both("lần trao đổi sau thử nơi khác", "the next exchange tries another place"),
    Both("đọc tối đa {most} byte", "at most {most} bytes are read"),
    Both("syncd tự thử lại khi chúng đã vào nhật ký", "syncd tries again by itself once they are"),
    Both("syncd tự thử lại", "syncd tries again by itself"),
    Both("lần trao đổi sau sẽ xin cấp trên một bản nền", "its parent is asked for one with the next exchange"),
    Both("chưa ghi lại; lần trao đổi sau mang giấy khác", "it was not recorded; the next exchange brings another"),
    Both("chưa ghi lại; nâng cấp syncd ở máy này", "it was not recorded; upgrade syncd on this node"),
    Both("chưa ghi lại", "it was not recorded"),
    Both("việc đồng bộ tự tiếp tục khi khóa tới", "the stream goes on by itself when the key grant has arrived"),
    Both("việc đồng bộ tự tiếp tục khi đơn vị tới", "the stream goes on by itself when the units have arrived"),
    Both(
        "nâng cấp syncd ở máy này; sau đó việc đồng bộ tự tiếp tục",
        "upgrade syncd on this node; the stream goes on by itself afterwards",
    ),
    Both(
        "nâng cấp máy này; việc đồng bộ chờ rồi tự tiếp tục",
        "upgrade this node; the stream waits and then goes on by itself",
    ),
    Both("nâng cấp máy cũ hơn (cấp trên trước)", "upgrade the older of the two nodes (parents first)"),
    Both("nâng cấp máy cũ hơn trong hai máy", "upgrade the older of the two nodes"),
    Both("chưa có gì được đưa vào bảng", "nothing was applied"),
    Both(
        "chưa có gì được đưa vào bảng; khôi phục bản sao lưu cuối của cơ sở dữ liệu này",
        "nothing was applied; restore the last backup of this database",
    ),
    Both("khôi phục bản sao lưu cuối của cơ sở dữ liệu này", "restore the last backup of this database"),
    Both(
        "chưa có gì được đưa vào bảng; việc đồng bộ dừng ở đây: báo bộ phận CNTT",
        "nothing was applied; the stream stops here: ask IT",
    ),
    Both(
        "máy gửi hỏng hoặc có ý xấu; chưa có gì được đưa vào bảng",
        "the sender is faulty or hostile; nothing was applied",
    ),
    Both(
        "máy gửi hỏng hoặc có ý xấu; chưa có gì được đưa vào bảng; hỏi người quản trị máy gửi",
        "the sender is faulty or hostile; nothing was applied; ask the sending node's operator",
    ),
    Both(
        "chạy `[[syncd repair]]` tại đây; nếu vẫn dừng, chạy tại nơi giữ sổ ({keeper})",
        "run `[[syncd repair]]` here; if the stream still stands, run it at the node that keeps it ({keeper})",
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
        "chưa nhận gì; lần trao đổi sau lấy lại; `[[syncd status]]` nêu nhật ký vẫn còn lỗi",
        "nothing was taken over; the next exchange fetches it again, `[[syncd status]]` names a stream that stays so",
    ),
    Both(
        "chưa nhận gì; có thể hai máy cùng ghi một nhật ký, `[[syncd status]]` nêu chúng",
        "nothing was taken over; two machines may write one stream, `[[syncd status]]` names them",
    ),
    Both(
        "`[[syncd status]]` nêu nơi giữ đơn vị; chưa nhận gì",
        "the unit's keeper is named by `[[syncd status]]`; nothing was taken",
    ),
    Both(
        "cây giao nhật ký này đi đường khác; chưa nhận gì",
        "the tree gives this stream another way; nothing was taken",
    ),
    Both("lần trao đổi sau bắt đầu lại từ đầu", "the next exchange starts it from the beginning"),
    Both("lần trao đổi sau lấy phần còn thiếu", "the next exchange fetches what lies between"),
    Both("không cần làm gì", "nothing to do"),
    Both(
        "hai máy cùng ghi một nhật ký (đĩa bị nhân bản hoặc bản khôi phục): bên gửi nhận nhật ký này",
        "two machines extended one stream (a cloned disk or a restored copy): the sender takes this one over",
    ),
    Both(
        "hai máy cùng ghi một nhật ký (đĩa bị nhân bản hoặc bản khôi phục): xem `[[syncd conflicts list]]`",
        "two machines extended one stream (a cloned disk or a restored copy): see `[[syncd conflicts list]]`",
    ),
    Both(
        "sẽ tự thử lại; kiểm tra cấp trên có đang chạy, địa chỉ và đường truyền",
        "tried again by itself; check that the parent runs, its address, and the line",
    ),
    Both("nhật ký của cấp trên nói vì sao; sẽ tự thử lại", "its log says why; tried again by itself"),
    Both("sẽ tự thử lại", "tried again by itself"),
    Both("phần đã tới được giữ; sẽ tự thử lại", "what arrived is kept; tried again by itself"),
    Both("kiểm tra thiết bị giữa máy này và cấp trên", "check what stands between this node and its parent"),
    Both("kiểm tra địa chỉ cấp trên và thiết bị ở giữa", "check the parent's address, and what stands in between"),
    Both(
        "gia hạn (với mã mới: [[syncd join MÃ_GIA_NHẬP]]) và kiểm tra đồng hồ",
        "renew it (with a new token: [[syncd join TOKEN]]), and check the clock",
    ),
    Both("sẽ tự thử lại; kiểm tra đường truyền và địa chỉ", "retried by itself; check the line and the address"),
    Both(
        "so đồng hồ máy này ({now}) với giờ đúng: chậm thì chỉnh lại; nếu đúng thì máy kia được tạo khi đồng hồ"
        " của nó chạy nhanh (chạy ở đó: syncd status --check)",
        "compare this computer's clock ({now}) with the true time: behind? set it; right? then the other was"
        " made while its own clock was ahead (there: syncd status --check)",
    ),
    Both(
        "so đồng hồ máy này ({now}) với giờ đúng: nhanh thì chỉnh lại; nếu đúng thì gia hạn ở đó",
        "compare this computer's clock ({now}) with the true time: ahead? set it; right? then renew it there",
    ),
    Both("kiểm tra địa chỉ cấp trên trong cấu hình", "check the parent's address in the configuration"),
    Both(
        "kiểm tra địa chỉ cấp trên; nếu đúng, có kẻ đứng giữa: gọi cho người quản trị cấp trên",
        "check the parent's address; if it is right, somebody stands in between: call the parent's operator",
    ),
    Both("gia nhập bằng mã: [[syncd join MÃ_GIA_NHẬP]]", "enrol this node with a token: [[syncd join TOKEN]]"),
    Both(
        "máy khác nay giữ đơn vị của nó: tắt máy này và gỡ syncd",
        "another machine keeps its unit now: switch this one off and remove syncd",
    ),
    Both("xin người quản trị máy cấp trên mã gia nhập", "ask this node's operator for a token"),
    Both(
        "dùng chứng thư mới nhất, hoặc gia nhập lại bằng mã mới",
        "use the newest certificate, or join again with a new token",
    ),
    Both("xin người quản trị cấp trên mã mới", "ask the parent's operator for a new one"),
    Both("xin người quản trị cấp trên mã mới", "ask the parent's operator for a new token"),
    Both(
        "bỏ `listen`, hoặc xin người quản trị cấp trên mã cho máy có máy con",
        "remove `listen`, or ask the parent's operator for a hub's token",
    ),
    Both(
        "trạm mới nhận đơn vị qua bàn giao; máy đang giữ có thể tự gia nhập lại",
        "a new station takes a unit over by a hand-over; the node that keeps it may join again itself",
    ),
    Both("gia nhập với khóa riêng: dùng thư mục trống", "join with keys of its own: use an empty directory"),
    Both("gia nhập với khóa mới: dùng thư mục trống", "join with new keys: use an empty directory"),
    Both("gia nhập lại bằng phiên bản syncd này với mã mới", "join again with this version of syncd and a new token"),
    Both(
        "chạy lệnh này bằng tài khoản của máy: sudo -u {account} syncd …",
        "run this as the node's own account: sudo -u {account} syncd …",
    ),
    Both("chạy: chmod u+rwX {path}", "run: chmod u+rwX {path}"),
    Both("cấp quyền cho tài khoản này, hoặc nêu nơi khác", "give this account the right to it, or name another place"),
    Both("giải phóng chỗ cho tệp tạm; chưa thay đổi gì", "free space for temporary files; nothing was changed"),
    Both("chia thành phần nhỏ hơn", "seal smaller pieces"),
    Both("tối đa {most} byte, khai trước", "at most {most} bytes, stated in advance"),
    Both(
        "nó được để riêng; `[[syncd conflicts list]]` nêu nó, `[[syncd adopt]]` đưa các thay đổi của nó thành đề nghị",
        "it was put aside; `[[syncd conflicts list]]` names it, `[[syncd adopt]]` makes proposals of what it changes",
    ),
    Both(
        "chưa gửi gì; đặt lại đúng tệp khóa của máy này từ bản sao lưu",
        "nothing was sealed; put this node's own key files back from its backup",
    ),
    Both(
        "chưa gửi gì; sửa bản ghi đó, phần đã ghi sẽ tự đi tiếp",
        "nothing was sealed; correct the row, and what was written goes on by itself",
    ),
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
        "chạy `[[syncd verify]]`; nhật ký máy chủ có câu lệnh đó",
        "run `[[syncd verify]]`; the server's log has the statement",
    ),
)
