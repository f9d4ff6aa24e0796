"""The records of the population MIS: each column with its class, audience, policy and rule (domain §3).

Marks of the source: Circular 01/2022/TT-BYT (books A0, forms DSX/DSH/DST) and the provincial documents of `domain`.
Checks use only SQL that SQLite and PostgreSQL read alike.
"""

from __future__ import annotations

from schema.spec import Audience, Column, DataClass, Fold, Kind, Table, Type

B, S = DataClass.BASIC, DataClass.SENSITIVE

CITIZEN_ID_SQLITE = "length(citizen_id) = 12 AND citizen_id NOT GLOB '*[^0-9]*'"
CITIZEN_ID_POSTGRES = "citizen_id ~ '^[0-9]{12}$'"

UNIT = Table(
    number=20,
    name="unit",
    kind=Kind.OVERSIGHT,
    title_vi="Đơn vị hành chính",
    title_en="Administrative unit",
    columns=(
        Column(number=2, name="parent_id", type=Type.UUID, references="unit"),
        Column(number=3, name="level", type=Type.TEXT, nullable=False, chars_max=20),  # province, district, commune, …
        Column(number=4, name="code", type=Type.TEXT, nullable=False, chars_max=20),  # leading zeros kept
        Column(number=5, name="name", type=Type.TEXT, nullable=False, chars_max=200),
        Column(number=6, name="valid_from", type=Type.DATE),
        Column(number=7, name="valid_to", type=Type.DATE),  # the first day it is no longer valid
    ),
    indexes=(("code",), ("parent_id",)),
    above="parent_id",
    checks=(("valid_for_a_time", "valid_to IS NULL OR valid_from IS NULL OR valid_to > valid_from"),),
)

UNIT_CHANGE = Table(
    number=21,
    name="unit_change",
    kind=Kind.OVERSIGHT,
    title_vi="Biến động đơn vị",
    title_en="Succession of units",
    columns=(
        Column(number=2, name="old_unit_id", type=Type.UUID, nullable=False, references="unit"),
        Column(number=3, name="new_unit_id", type=Type.UUID, nullable=False, references="unit"),
        Column(number=4, name="operation", type=Type.TEXT, nullable=False, chars_max=20,
               check="operation IN ('whole', 'part', 'land')"),
        Column(number=5, name="scope_note", type=Type.TEXT),
        Column(number=6, name="decision_no", type=Type.TEXT, chars_max=100),
        Column(number=7, name="effective_on", type=Type.DATE, nullable=False),
    ),
    indexes=(("old_unit_id",), ("new_unit_id",)),
)  # fmt: skip

CODE_LIST = Table(
    number=22,
    name="code_list",
    kind=Kind.OVERSIGHT,
    title_vi="Danh mục",
    title_en="Code list",
    columns=(
        Column(number=2, name="name", type=Type.TEXT, nullable=False, chars_max=60),
        Column(number=3, name="version", type=Type.INT, nullable=False),
        Column(number=4, name="title", type=Type.TEXT, nullable=False, chars_max=200),
    ),
)

CODE = Table(
    number=23,
    name="code",
    kind=Kind.OVERSIGHT,
    title_vi="Mã",
    title_en="Code",
    columns=(
        Column(number=2, name="list_name", type=Type.TEXT, nullable=False, chars_max=60),
        Column(number=3, name="version", type=Type.INT, nullable=False),
        Column(number=4, name="code", type=Type.TEXT, nullable=False, chars_max=20),
        Column(number=5, name="name", type=Type.TEXT, nullable=False, chars_max=200),
    ),
    indexes=(("list_name", "code"),),
)

HOUSEHOLD = Table(
    number=24,
    name="household",
    kind=Kind.REGISTER,
    title_vi="Hộ",
    title_en="Household",
    columns=(
        Column(number=2, name="number", type=Type.TEXT, nullable=False, chars_max=10, policy="keeper",
               check_sqlite="number GLOB '[0-9]*' AND number NOT GLOB '*[^0-9.]*' AND "
               "(instr(number, '.') = 0 OR instr(number, '.') = length(number) - 1)",
               check_postgres="number ~ '^[0-9]+([.][0-9])?$'",
               rule_vi="số hộ gồm chữ số, có thể thêm .1 chữ số (ví dụ 12 hoặc 12.1)",
               rule_en="a household number is digits, optionally a point and one digit (12 or 12.1)"),
        Column(number=3, name="kind", type=Type.TEXT, nullable=False, chars_max=20, policy="keeper",
               check="kind IN ('family', 'collective')",
               rule_vi="loại hộ là gia đình (family) hoặc tập thể (collective)",
               rule_en="kind is family or collective"),
        Column(number=4, name="hamlet", type=Type.TEXT, chars_max=200, data_class=B, policy="upper", group="address"),
        Column(number=5, name="address", type=Type.TEXT, data_class=B, policy="upper", group="address"),
        Column(number=6, name="enumeration_area", type=Type.TEXT, chars_max=40, policy="upper"),
        Column(number=7, name="collaborator", type=Type.TEXT, chars_max=200, data_class=B, policy="keeper"),
        Column(number=8, name="opened_on", type=Type.DATE),
        Column(number=9, name="closed_on", type=Type.DATE),
    ),
    indexes=(("unit_id", "number"),),
    checks=(("closed_after_opened", "closed_on IS NULL OR opened_on IS NULL OR closed_on >= opened_on"),),
)  # fmt: skip

PERSON = Table(
    number=25,
    name="person",
    kind=Kind.REGISTER,
    title_vi="Nhân khẩu",
    title_en="Person",
    columns=(
        Column(number=2, name="household_id", type=Type.UUID, references="household", inside_unit=True,
               policy="keeper"),
        Column(number=3, name="line_no", type=Type.INT, policy="keeper"),
        Column(number=4, name="full_name", type=Type.TEXT, nullable=False, chars_max=200, data_class=B,
               policy="review"),
        Column(number=5, name="sex", type=Type.INT, nullable=False, policy="review", check="sex IN (1, 2)",
               rule_vi="giới tính là 1 (nam) hoặc 2 (nữ)", rule_en="sex is 1 (male) or 2 (female)"),
        Column(number=6, name="birth_date", type=Type.DATE, nullable=False, data_class=B, policy="review",
               group="birth"),
        Column(number=7, name="birth_precision", type=Type.TEXT, nullable=False, chars_max=1, policy="review",
               group="birth", check="birth_precision IN ('d', 'm', 'y')",
               rule_vi="ngày sinh biết đến ngày (d), tháng (m) hoặc năm (y)", rule_en="birth precision is d, m or y"),
        Column(number=8, name="ethnic", type=Type.TEXT, nullable=False, chars_max=10, data_class=S, policy="upper",
               code_list="ethnic"),
        Column(number=9, name="relation", type=Type.TEXT, chars_max=10, policy="keeper", code_list="relation"),
        Column(number=10, name="education", type=Type.TEXT, chars_max=10, policy="latest", code_list="education"),
        Column(number=11, name="marital", type=Type.TEXT, chars_max=10, data_class=B, policy="latest",
               code_list="marital"),
        Column(number=12, name="residence", type=Type.TEXT, nullable=False, chars_max=20, policy="keeper",
               code_list="residence",
               check="residence IN ('usual', 'absent', 'temporary', 'departed', 'deceased')",
               rule_vi="tình trạng cư trú là thường trú (usual), tạm vắng (absent), tạm trú (temporary), đã chuyển đi "
               "(departed) hoặc đã chết (deceased)",
               rule_en="residence is usual, absent, temporary, departed or deceased"),
        Column(number=13, name="mother_id", type=Type.UUID, references="person", policy="review"),
        Column(number=14, name="father_id", type=Type.UUID, references="person", policy="review"),
        Column(number=15, name="citizen_id", type=Type.TEXT, chars_max=12, data_class=B, policy="review",
               check_sqlite=CITIZEN_ID_SQLITE, check_postgres=CITIZEN_ID_POSTGRES,
               rule_vi="số định danh gồm đúng 12 chữ số", rule_en="a citizen id is exactly 12 digits"),
        Column(number=16, name="insurance_no", type=Type.TEXT, chars_max=20, data_class=B, policy="latest",
               group="insurance"),
        Column(number=17, name="insurance_until", type=Type.DATE, policy="latest", group="insurance"),
        Column(number=18, name="phone", type=Type.TEXT, chars_max=20, data_class=B, policy="latest"),
    ),
    indexes=(("unit_id",), ("household_id",), ("citizen_id",), ("insurance_no",)),
    fold=Fold(measure="population", columns=("sex", "birth_date", "ethnic", "residence")),
)  # fmt: skip

BIRTH = Table(
    number=26,
    name="birth",
    kind=Kind.REGISTER,
    title_vi="Sinh",
    title_en="Birth",
    columns=(
        Column(number=2, name="child_id", type=Type.UUID, references="person"),
        Column(number=3, name="mother_id", type=Type.UUID, references="person"),
        Column(number=4, name="born_on", type=Type.DATE, nullable=False),
        Column(number=5, name="sex", type=Type.INT, nullable=False, check="sex IN (1, 2)",
               rule_vi="giới tính là 1 (nam) hoặc 2 (nữ)", rule_en="sex is 1 or 2"),
        Column(number=6, name="parity", type=Type.INT, check="parity >= 1",
               rule_vi="lần sinh từ 1 trở lên", rule_en="parity is at least 1"),
        Column(number=7, name="place", type=Type.TEXT, chars_max=20,
               check="place IN ('station', 'hospital', 'home', 'other')",
               rule_vi="nơi sinh là trạm y tế (station), bệnh viện (hospital), tại nhà (home) hoặc nơi khác (other)",
               rule_en="place is station, hospital, home or other"),
        Column(number=8, name="weight_g", type=Type.INT, check="weight_g BETWEEN 200 AND 9000",
               rule_vi="cân nặng từ 200 đến 9000 gam", rule_en="weight is 200 to 9000 grams"),
    ),
    indexes=(("unit_id",), ("child_id",), ("mother_id",)),
    fold=Fold(measure="birth", columns=("sex",), date_column="born_on"),
)  # fmt: skip

DEATH = Table(
    number=27,
    name="death",
    kind=Kind.REGISTER,
    title_vi="Chết",
    title_en="Death",
    columns=(
        Column(number=2, name="person_id", type=Type.UUID, nullable=False, references="person"),
        Column(number=3, name="died_on", type=Type.DATE, nullable=False),
        Column(number=4, name="sex", type=Type.INT, check="sex IN (1, 2)",
               rule_vi="giới tính là 1 (nam) hoặc 2 (nữ)", rule_en="sex is 1 or 2"),
        # Only the custodian's figures need the cause: tiers between relay it without reading it (domain §6, 2).
        Column(number=5, name="cause", type=Type.TEXT, chars_max=200, data_class=S, audience=Audience.CUSTODIAN),
    ),
    indexes=(("unit_id",), ("person_id",)),
    fold=Fold(measure="death", columns=("sex",), date_column="died_on"),
)  # fmt: skip

MIGRATION = Table(
    number=28,
    name="migration",
    kind=Kind.REGISTER,
    title_vi="Chuyển đi, chuyển đến",
    title_en="Migration",
    columns=(
        Column(number=2, name="person_id", type=Type.UUID, nullable=False, references="person"),
        Column(number=3, name="direction", type=Type.TEXT, nullable=False, chars_max=10,
               check="direction IN ('arrival', 'departure')",
               rule_vi="chiều chuyển là đến (arrival) hoặc đi (departure)",
               rule_en="direction is arrival or departure"),
        Column(number=4, name="moved_on", type=Type.DATE, nullable=False),
        Column(number=5, name="sex", type=Type.INT, check="sex IN (1, 2)",
               rule_vi="giới tính là 1 (nam) hoặc 2 (nữ)", rule_en="sex is 1 or 2"),
        Column(number=6, name="other_place", type=Type.TEXT, chars_max=300, data_class=B),
        Column(number=7, name="match_id", type=Type.UUID),  # the same in departure and arrival once matched
    ),
    indexes=(("unit_id",), ("person_id",), ("match_id",)),
    fold=Fold(measure="migration", columns=("direction", "sex"), date_column="moved_on"),
)  # fmt: skip

PERSON_CHECK = Table(
    number=29,
    name="person_check",
    kind=Kind.OVERSIGHT,
    title_vi="Xác minh nhân khẩu",
    title_en="Verification of a person",
    columns=(
        Column(number=2, name="person_id", type=Type.UUID, nullable=False, references="person"),
        Column(number=3, name="citizen_id", type=Type.TEXT, nullable=False, chars_max=12, data_class=B,
               check_sqlite=CITIZEN_ID_SQLITE, check_postgres=CITIZEN_ID_POSTGRES,
               rule_vi="số định danh gồm đúng 12 chữ số", rule_en="a citizen id is exactly 12 digits"),
        Column(number=4, name="checked_at", type=Type.INSTANT, nullable=False),
        Column(number=5, name="checked_by", type=Type.TEXT, nullable=False, chars_max=200),
    ),
    indexes=(("person_id",),),
)  # fmt: skip

PERSON_LINK = Table(
    number=30,
    name="person_link",
    kind=Kind.OVERSIGHT,
    title_vi="Liên kết nhân khẩu",
    title_en="Link of rows that are one person",
    # One row per side, each about the unit of its person: a unit sees that its row is linked, never to whom. Both rows
    # of a pair bear one link_id; nothing is merged or deleted, and a pair once taken apart stays apart.
    columns=(
        Column(number=2, name="link_id", type=Type.UUID, nullable=False),
        Column(number=3, name="person_id", type=Type.UUID, nullable=False, references="person"),
        Column(number=4, name="state", type=Type.TEXT, nullable=False, chars_max=20,
               check="state IN ('linked', 'proposed', 'unlinked')",
               rule_vi="trạng thái là linked, proposed hoặc unlinked", rule_en="state is linked, proposed or unlinked"),
        Column(number=5, name="method", type=Type.TEXT, nullable=False, chars_max=20,
               check="method IN ('citizen_id', 'insurance_no', 'score', 'person')",
               rule_vi="cách liên kết là citizen_id, insurance_no, score hoặc person",
               rule_en="method is citizen_id, insurance_no, score or person"),
        Column(number=6, name="score", type=Type.INT, nullable=False, check="score BETWEEN 0 AND 1000",
               rule_vi="điểm từ 0 đến 1000", rule_en="score is 0 to 1000"),
        Column(number=7, name="decided_by", type=Type.TEXT, nullable=False, chars_max=200),
        Column(number=8, name="decided_at", type=Type.INSTANT, nullable=False),
    ),
    indexes=(("link_id",), ("person_id",)),
)  # fmt: skip

MOVE_MATCH = Table(
    number=31,
    name="move_match",
    kind=Kind.OVERSIGHT,
    title_vi="Khớp chuyển đi với chuyển đến",
    title_en="Departure and arrival of one move",
    # One row per side, each about the unit of its event: a unit sees that its departure has arrived, never where to.
    # Both rows of a pair bear one match_id; a match taken back has a further pair of rows, `apart`.
    columns=(
        Column(number=2, name="match_id", type=Type.UUID, nullable=False),
        Column(number=3, name="migration_id", type=Type.UUID, nullable=False, references="migration"),
        Column(number=4, name="state", type=Type.TEXT, nullable=False, chars_max=20,
               check="state IN ('matched', 'apart')",
               rule_vi="trạng thái là matched hoặc apart", rule_en="state is matched or apart"),
        Column(number=5, name="method", type=Type.TEXT, nullable=False, chars_max=20,
               check="method IN ('match_id', 'link', 'person')",
               rule_vi="cách khớp là match_id, link hoặc person", rule_en="method is match_id, link or person"),
        Column(number=6, name="decided_by", type=Type.TEXT, nullable=False, chars_max=200),
        Column(number=7, name="decided_at", type=Type.INSTANT, nullable=False),
    ),
    indexes=(("match_id",), ("migration_id",)),
)  # fmt: skip

POPULATION_TABLES = (
    UNIT, UNIT_CHANGE, CODE_LIST, CODE, HOUSEHOLD, PERSON, BIRTH, DEATH, MIGRATION, PERSON_CHECK, PERSON_LINK,
    MOVE_MATCH,
)  # fmt: skip
