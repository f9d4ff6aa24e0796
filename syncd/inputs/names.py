"""Common Vietnamese name parts, for generated persons only: no combination stands for anybody."""

from __future__ import annotations

FAMILY = (
    "Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương", "Lý",
    "Đào", "Đinh", "Lương", "Mai", "Hà", "Trịnh", "Cao", "Tô", "Thái", "Tạ",
)  # fmt: skip
FAMILY_WEIGHTS = (384, 121, 95, 70, 51, 45, 39, 30, 21, 20, 14, 13, 13, 10, 5, 5, 5, 5, 5, 5, 4, 4, 3, 3, 3)
MIDDLE_MALE = ("Văn", "Hữu", "Đức", "Quang", "Minh", "Xuân", "Đình", "Công", "Ngọc", "Thanh", "Viết", "Bá")
MIDDLE_FEMALE = ("Thị", "Thị", "Thị", "Ngọc", "Thu", "Thanh", "Minh", "Phương", "Khánh", "Bích", "Hồng", "Diệu")
GIVEN_MALE = (
    "An", "Bình", "Cường", "Dũng", "Đạt", "Giang", "Hải", "Hiếu", "Hùng", "Huy", "Khánh", "Lâm", "Long", "Mạnh",
    "Nam", "Phong", "Phúc", "Quân", "Sơn", "Tài", "Thành", "Thắng", "Tiến", "Toàn", "Trung", "Tuấn", "Tùng", "Việt",
)  # fmt: skip
GIVEN_FEMALE = (
    "Anh", "Chi", "Dung", "Giang", "Hà", "Hạnh", "Hằng", "Hiền", "Hoa", "Hương", "Huyền", "Lan", "Linh", "Loan",
    "Mai", "My", "Nga", "Ngân", "Nhung", "Oanh", "Phương", "Quỳnh", "Thảo", "Thủy", "Trang", "Tuyết", "Vân", "Yến",
)  # fmt: skip
