"""The words in which `schema/` says WHAT is replicated: tables and columns as plain data.

Enters: nothing. Leaves: frozen descriptions that triggers, migrations, apply and digests are generated from.
Must hold: importing this module costs nothing (no SQLAlchemy), since the daemon and `syncd status` read it;
table and column numbers are part of the wire format and never change or return.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property

from schema.names import quoted

COLUMNS_MAX = 62  # a change mask is one signed 64-bit integer
TEXT_CHARS_MAX = 2000
JSON_CHARS_MAX = 65_536
UTF8_BYTES_MAX = 4  # of one character
BYTES_MAX = 3 * 1024 * 1024  # of a value of bytes, unless its column says otherwise
ROW_BYTES_MAX = 4 * 1024 * 1024  # of a whole row: an envelope holds it, however badly it packs
INDEX_BYTES_MAX = 2_600  # of the values of one index: PostgreSQL takes 2 704 with what it adds, SQLite any number
FIXED_BYTES = {"uuid": 36, "int": 8, "date": 10, "instant": 24}  # of values whose length is given, at most


class Kind(IntEnum):
    """Who keeps the rows of a table, and so which stream they belong to (design §1)."""

    REGISTER = 1  # the keeper of the row's unit
    OVERSIGHT = 2  # the node that minted the row; about one unit, or about all (unit_id NULL)
    CONTROL = 3  # the node that minted the row; enrolments, key grants, hand-overs
    BASELINE = 4  # no table's: the stream of a baseline, the content of another stream at a position


class Audience(IntEnum):
    """Who may read a column; an envelope carries one part per audience."""

    PUBLIC = 0  # compressed, not encrypted: node records and sealed grants
    SCOPE = 1  # every node that keeps the stream
    CUSTODIAN = 2  # the origin and the custodian (today the root) only


class DataClass(StrEnum):
    """Class of personal data (law 91/2025/QH15; domain §3)."""

    NONE = "n"
    BASIC = "b"
    SENSITIVE = "s"


class Type(StrEnum):
    """Canonical types: the same values on SQLite and PostgreSQL."""

    UUID = "uuid"
    TEXT = "text"
    INT = "int"
    DATE = "date"
    INSTANT = "instant"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. `number` is its place on the wire and its bit in a change mask (1…62; `id` is 0, `unit_id` is 1).

    `policy` is the name of a conflict policy; columns with the same `group` are decided together.
    `check` is a boolean SQL expression over the table's columns in the subset both databases share;
    `rule_vi`/`rule_en` say the rule to a person. `chars_max` bounds text, `bytes_max` bytes.
    """

    number: int
    name: str
    type: Type
    nullable: bool = True
    data_class: DataClass = DataClass.NONE
    audience: Audience = Audience.SCOPE
    policy: str = "review"
    group: str | None = None
    check: str | None = None
    check_sqlite: str | None = None  # where the databases need different words (patterns)
    check_postgres: str | None = None
    rule_vi: str = ""
    rule_en: str = ""
    chars_max: int = TEXT_CHARS_MAX
    bytes_max: int = BYTES_MAX
    references: str | None = None  # soft, unless `inside_unit`
    inside_unit: bool = False  # a real foreign key: both rows always live in one unit
    on_delete: str = "restrict"  # of an inside_unit key: restrict, cascade or set null
    code_list: str | None = None  # values come from this code list (soft)
    title_vi: str = ""  # of a deployment's own columns; the release's own stand in `titles.py`
    title_en: str = ""

    @property
    def sql(self) -> str:
        """Its name as SQL."""
        return quoted(self.name)

    @property
    def bytes_most(self) -> int:
        """How many bytes a value takes at most, as text or as it is."""
        if self.type is Type.BYTES:
            return self.bytes_max
        return FIXED_BYTES.get(self.type) or self.chars_max * UTF8_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """How a table's rows are counted: the columns whose values choose the cell.

    `stock` counts rows that exist; `flow` counts events by the month of `date_column`.
    """

    measure: str  # stock: 'population'; flow: 'birth', 'death', 'arrival', 'departure'
    columns: tuple[str, ...]
    date_column: str | None = None

    @property
    def all_columns(self) -> tuple[str, ...]:
        """The counted columns, the date last: the order of journal `was` values."""
        return (*self.columns, self.date_column) if self.date_column else self.columns


@dataclass(frozen=True, kw_only=True)
class Apart:
    """Two columns of a row that may not say the same: nothing passes to itself. `unless`: a column, and the value with
    which a row is exempt. The guard refuses it to whoever writes here; it is no CHECK, because a log may hold such a
    row from before, and a stream that cannot be applied stops for good."""

    column: str
    other: str
    unless: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partly:
    """An index of the few rows that are looked for among many others. `only`: SQL both databases share."""

    name: str
    columns: tuple[str, ...]
    only: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """One replicated table. Every table has `id` (number 0) and `unit_id` (1; NULL = all units, oversight only)."""

    number: int
    name: str
    kind: Kind
    columns: tuple[Column, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    partly: tuple[Partly, ...] = ()
    fold: Fold | None = None
    checks: tuple[tuple[str, str], ...] = ()  # (name, SQL) across columns
    apart: tuple[Apart, ...] = ()
    above: str = ""  # the column that names the row above in this very table: none stands above itself (as `apart`)
    title_vi: str = ""
    title_en: str = ""
    by_name: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = [column.number for column in self.columns]
        if sorted(numbers) != list(range(2, 2 + len(numbers))) or len(numbers) > COLUMNS_MAX - 2:
            raise ValueError(f"table {self.name}: column numbers must run from 2 without gap, at most {COLUMNS_MAX}")
        object.__setattr__(self, "by_name", {column.name: column for column in self.all_columns})

    def __hash__(self) -> int:
        """Tables key caches that are asked for every row; a hash of all columns costs more than the answer."""
        return hash((self.number, self.name))

    @cached_property
    def all_columns(self) -> tuple[Column, ...]:
        """`id`, `unit_id`, then the columns in the order of their numbers."""
        unit = Column(
            number=1, name="unit_id", type=Type.UUID, nullable=self.kind is not Kind.REGISTER, policy="keeper"
        )
        return (ID, unit, *sorted(self.columns, key=lambda column: column.number))

    @cached_property
    def fold_mask(self) -> int:
        """Change mask of the columns whose change moves a row to another cell."""
        if self.fold is None:
            return 0
        return sum(1 << self.by_name[name].number for name in self.fold.all_columns)

    @cached_property
    def sql(self) -> str:
        """Its name as SQL."""
        return quoted(self.name)

    @cached_property
    def row_bytes_max(self) -> int:
        """How many bytes a row takes at most, going by its columns alone."""
        return sum(column.bytes_most for column in self.all_columns)

    @cached_property
    def wide_indexes(self) -> tuple[tuple[str, ...], ...]:
        """The indexes whose columns take longer values than an index of PostgreSQL does."""
        return tuple(each for each in self.indexes if self.index_bytes_most(each) > INDEX_BYTES_MAX)

    def index_bytes_most(self, names: tuple[str, ...]) -> int:
        """How many bytes the values of these columns take at most."""
        return sum(self.by_name[name].bytes_most for name in names)

    def columns_of(self, mask: int) -> tuple[Column, ...]:
        """The columns whose bit is set in a change mask."""
        return tuple(column for column in self.all_columns if mask >> column.number & 1)


ID = Column(number=0, name="id", type=Type.UUID, nullable=False, policy="keeper")


class Registry:
    """The replicated tables of one installation, by name and by wire number."""

    def __init__(self, tables: tuple[Table, ...]) -> None:
        self.tables = tuple(sorted(tables, key=lambda table: table.number))
        self.by_name = {table.name: table for table in self.tables}
        self.by_number = {table.number: table for table in self.tables}
        if len(self.by_name) != len(tables) or len(self.by_number) != len(tables):
            raise ValueError("two replicated tables share a name or a number")

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables)

    def of_kind(self, kind: Kind) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.kind is kind)
