"""Read-only views: for analysts and BI tools over the aggregate cells and the unit tree, which read no record; and for
clerks every register table as it would be with this node's own pending proposals.

Enters: a dialect, the registry. Leaves: statements that create the views; run again they change nothing.
Must hold: the column names are a promise to other programs; columns are only ever added at the end.
Cells are fine-grained: whoever publishes from them sums them up and suppresses small counts first.

v_population  unit_id, unit_code, unit_name, sex (1 male, 2 female), birth_month (YYYY-MM), ethnic, residence, n,
              is_past
v_counted_twice  the same columns without the last: usual residents whom links say to be one person with a row of
              another unit here, where that person arrived later. A sum of v_population over all units less these counts
              everybody once; a unit's own figures stay as its keeper's records say.
v_flow        unit_id, unit_code, unit_name, month, kind (birth, death, arrival, departure), sex (0 unknown), n, is_past
              is_past 1: the unit passed on to a keeper whose register is not here: the rows are of before that
v_unit        unit_id, parent_id, level, code, name, valid_from, valid_to, parent_code, parent_name
v_completeness  unit_id, unit_code, unit_name, keeper (node id), term, state, applied_seq, held_seq, changed_at,
              is_past: one line per unit: those whose register is here, as its present keeper writes it where that has
              come, and state 'missing', applied_seq 0 for every unit at or below this node's own that should have one
              and has none; keeper is NULL where nobody keeps it. A unit should have a register while it is valid and
              no valid unit lies below it.
v_completeness_term  the same columns without the last, one line per term of a register of which something is here

The table `person` shows rows as they are kept; `person_with_pending` (and so for each register table) shows them with
what this node wishes, as long as nobody has decided, withdrawn, or let it expire:

<table>_with_pending  id, unit_id, pending (NULL as kept, 'update', 'insert', 'delete'), is_past, then the table's
              columns by number: a new one is the last, and PostgreSQL extends the view in place with its grants.
              Of several wishes about one column the newest is shown. A row wished to be deleted is still there; a row
              wished to be inserted has the proposal's id for its own. A wish that is no object of fitting values (only
              SQL can write one) is shown as nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schema.ddl import Dialect
from schema.names import quoted
from schema.spec import Kind, Registry, Table, Type

SUFFIX = "_with_pending"
# Each pair from both sides (NOT <>: or SQLite looks rows up by their state, which nearly all share); then the usual
# residents among them with the day of their last arrival.
LINKED_ROWS = """SELECT x.person_id, y.person_id FROM person_link AS x
    JOIN person_link AS y ON y.link_id = x.link_id AND y.person_id <> x.person_id
    WHERE NOT x.state <> 'linked' AND NOT y.state <> 'linked'"""
COUNTED_ROWS = """SELECT p.id, p.unit_id, p.sex, substr(CAST(p.birth_date AS text), 1, 7) AS month, p.ethnic,
    p.residence, coalesce((SELECT max(CAST(m.moved_on AS text)) FROM migration AS m
        WHERE m.person_id = p.id AND m.direction = 'arrival'), '') AS since
    FROM person AS p WHERE p.residence IN ('usual', 'absent')
    AND p.id IN (SELECT l.person_id FROM person_link AS l WHERE l.state = 'linked')"""
COUNTED_TWICE = f"""
WITH RECURSIVE pair (one, other) AS ({LINKED_ROWS}
), reach (one, other) AS (
  SELECT one, other FROM pair UNION SELECT r.one, p.other FROM reach AS r JOIN pair AS p ON p.one = r.other
), counted AS ({COUNTED_ROWS}
)
SELECT c.unit_id, u.code AS unit_code, u.name AS unit_name, c.sex, c.month AS birth_month, c.ethnic, c.residence,
  count(*) AS n
FROM counted AS c LEFT JOIN unit AS u ON u.id = c.unit_id
WHERE EXISTS (SELECT 1 FROM reach AS r JOIN counted AS o ON o.id = r.other WHERE r.one = c.id AND o.id <> c.id
  AND (o.since > c.since OR (o.since = c.since AND o.id > c.id)))
GROUP BY c.unit_id, u.code, u.name, c.sex, c.month, c.ethnic, c.residence"""
POSTGRES_TYPES = {Type.UUID: "uuid", Type.INT: "bigint", Type.DATE: "date", Type.BYTES: "bytea"}
# Units of which other rows are here than their keeper's: it took over, and its register has not come, or never will.
PASSED_ON = """SELECT s.unit_id FROM syncd_stream AS s JOIN syncd_keeper AS k ON k.unit_id = s.unit_id
    WHERE s.kind = 1 AND s.applied_seq > 0
    EXCEPT SELECT s.unit_id FROM syncd_stream AS s JOIN syncd_keeper AS k
        ON k.unit_id = s.unit_id AND k.node_id = s.keeper AND k.term = s.term
    WHERE s.kind = 1 AND s.applied_seq > 0"""
# Of every unit the register that its keeper writes, else the newest: place 1.
REGISTERS = """SELECT s.unit_id, s.keeper, s.term, s.state, s.applied_seq, s.held_seq, s.changed_at,
  row_number() OVER (PARTITION BY s.unit_id
    ORDER BY CASE WHEN k.unit_id IS NULL THEN 1 ELSE 0 END, s.term DESC, s.stream_id) AS place
FROM syncd_stream AS s
LEFT JOIN syncd_keeper AS k ON k.unit_id = s.unit_id AND k.node_id = s.keeper AND k.term = s.term
WHERE s.kind = 1"""
UTC_OFFSET = "utc_offset_min"  # the key in syncd_meta: minutes from UTC at which days begin, where it is not UTC+7
_OFFSET = f"coalesce((SELECT value FROM syncd_meta WHERE key = '{UTC_OFFSET}'), '420')"
# The day it is where the records are kept.
TODAY = {
    True: f"date('now', {_OFFSET} || ' minutes')",  # SQLite
    False: f"CAST(clock_timestamp() AT TIME ZONE 'UTC' + CAST({_OFFSET} || ' minutes' AS interval) AS date)",
}
PAST = "CASE WHEN e.unit_id IS NULL THEN 0 ELSE 1 END"
VIEWS = {
    "v_population": f"""
SELECT c.unit_id, u.code AS unit_code, u.name AS unit_name, c.sex, c.month AS birth_month, c.ethnic, c.residence, c.n,
  {PAST} AS is_past
FROM syncd_cell_stock AS c LEFT JOIN unit AS u ON u.id = c.unit_id
LEFT JOIN ({PASSED_ON}) AS e ON e.unit_id = c.unit_id""",
    "v_flow": f"""
SELECT c.unit_id, u.code AS unit_code, u.name AS unit_name, c.month, c.kind, c.sex, c.n, {PAST} AS is_past
FROM syncd_cell_flow AS c LEFT JOIN unit AS u ON u.id = c.unit_id
LEFT JOIN ({PASSED_ON}) AS e ON e.unit_id = c.unit_id""",
    "v_unit": """
SELECT u.id AS unit_id, u.parent_id, u.level, u.code, u.name, u.valid_from, u.valid_to,
  p.code AS parent_code, p.name AS parent_name
FROM unit AS u LEFT JOIN unit AS p ON p.id = u.parent_id""",
    "v_completeness_term": """
SELECT s.unit_id, u.code AS unit_code, u.name AS unit_name, s.keeper, s.term, s.state, s.applied_seq, s.held_seq,
  s.changed_at
FROM syncd_stream AS s LEFT JOIN unit AS u ON u.id = s.unit_id WHERE s.kind = 1""",
}


def leaves(dialect: Dialect) -> str:
    """Units that should have a register: valid today, below another, and with no valid unit below them."""
    valid = "({0}.valid_from IS NULL OR {0}.valid_from <= {1}) AND ({0}.valid_to IS NULL OR {0}.valid_to > {1})"
    today = TODAY[dialect.is_sqlite]
    return f"""SELECT u.id, u.code, u.name FROM unit AS u WHERE u.parent_id IS NOT NULL AND {valid.format("u", today)}
  AND NOT EXISTS (SELECT 1 FROM unit AS c WHERE c.parent_id = u.id AND {valid.format("c", today)})"""


def _completeness(dialect: Dialect) -> str:
    """Whose home is not known yet has nothing below it."""
    return f"""
WITH RECURSIVE below (id) AS (
  SELECT h.id FROM unit AS h WHERE CAST(h.id AS text) = (SELECT value FROM syncd_meta WHERE key = 'unit_id')
  UNION SELECT u.id FROM unit AS u JOIN below AS b ON u.parent_id = b.id
)
SELECT r.unit_id, u.code AS unit_code, u.name AS unit_name, r.keeper, r.term, r.state, r.applied_seq, r.held_seq,
  r.changed_at, {PAST} AS is_past
FROM ({REGISTERS}) AS r LEFT JOIN unit AS u ON u.id = r.unit_id
LEFT JOIN ({PASSED_ON}) AS e ON e.unit_id = r.unit_id WHERE r.place = 1
UNION ALL
SELECT w.id, w.code, w.name, k.node_id, k.term, 'missing', 0, 0, NULL, 0
FROM ({leaves(dialect)}) AS w JOIN below AS b ON b.id = w.id LEFT JOIN syncd_keeper AS k ON k.unit_id = w.id
WHERE NOT EXISTS (SELECT 1 FROM syncd_stream AS s WHERE s.kind = 1 AND s.unit_id = w.id)"""


def view_statements(dialect: str, registry: Registry) -> list[str]:
    """Statements that create every view in a database without them."""
    kind = Dialect(dialect)
    function = [] if kind.is_sqlite else [WISHED_FUNCTION]
    return [*function, *(_create(kind, name, query) for name, query in views(kind, registry).items())]


def install_views(connection: Any, dialect: str, registry: Registry) -> None:
    """Create the views that are missing or differ. PostgreSQL replaces a view in place, so that grants on it stay."""
    kind = Dialect(dialect)
    there: dict[str, str] = {}
    if kind.is_sqlite:
        there = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'").fetchall())
    elif connection.execute("SELECT prosrc FROM pg_proc WHERE proname = 'syncd_wished'").fetchone() != (WISHED_SOURCE,):
        connection.execute(WISHED_FUNCTION)
    for name, query in views(kind, registry).items():
        if there.get(name) == _create(kind, name, query):
            continue
        if name in there:
            connection.execute(f"DROP VIEW {quoted(name)}")
        connection.execute(_create(kind, name, query))


def put_back_missing(connection: Any, dialect: str, registry: Registry) -> list[str]:
    """Create the views that are not there: another program had to drop one to change a table. Returns their names."""
    kind = Dialect(dialect)
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'view'" if kind.is_sqlite
        else "SELECT viewname FROM pg_views WHERE schemaname = current_schema()"
    )  # fmt: skip
    there = {row[0] for row in connection.execute(query).fetchall()}
    missing = {name: text for name, text in views(kind, registry).items() if name not in there}
    for name, text in missing.items():
        connection.execute(_create(kind, name, text))
    return list(missing)


def views(dialect: Dialect, registry: Registry) -> Mapping[str, str]:
    """Every view's query by its name."""
    tables = [table for table in registry.of_kind(Kind.REGISTER) if table.name != "verdict"]
    twice = {"v_counted_twice": COUNTED_TWICE} if "person_link" in registry.by_name else {}
    told = {"v_completeness": _completeness(dialect)}
    return {**VIEWS, **told, **twice, **{f"{table.name}{SUFFIX}": _with_pending(dialect, table) for table in tables}}


def _create(dialect: Dialect, name: str, query: str) -> str:
    replace = "" if dialect.is_sqlite else " OR REPLACE"
    return f"CREATE{replace} VIEW {quoted(name)} AS{query}"


# The type of a table is named with its schema: PostgreSQL has a type `date` of its own.
# PostgreSQL before 16 cannot ask whether a text is JSON, nor whether a value fits a type; a view must never fail
# because of one row, so what does not fit counts as nothing.
WISHED_SOURCE = """
BEGIN
  EXECUTE (SELECT format('SELECT jsonb_populate_record(NULL::%s.%I, $1)', c.relnamespace::regnamespace, c.relname)
    FROM pg_class AS c WHERE c.oid = to_regclass(quote_ident(tab))) USING wished::jsonb;
  RETURN wished::jsonb;
EXCEPTION WHEN OTHERS THEN
  RETURN '{}';
END """
WISHED_FUNCTION = (
    "CREATE OR REPLACE FUNCTION syncd_wished(tab text, wished text) RETURNS jsonb LANGUAGE plpgsql STABLE AS "
    f"$syncd${WISHED_SOURCE}$syncd$"
)


def _with_pending(dialect: Dialect, table: Table) -> str:
    """Rows with the newest wish about each of their columns laid over them, and the rows wished to be inserted. Its
    parts have names of ours: a deployment's table may be called `mine`."""
    words = _Sqlite(table) if dialect.is_sqlite else _Postgres(table)
    over = "".join(
        f",\n  CASE WHEN {words.has('o.wished', column.name)} THEN {words.value('o.wished', column.name, column.type)}"
        f" ELSE r.{column.sql} END AS {column.sql}"
        for column in table.all_columns[2:]
    )
    new = "".join(
        f",\n  {words.value('m.wished', column.name, column.type)} AS {column.sql}" for column in table.all_columns[2:]
    )
    return f"""
WITH syncd_mine AS (
  SELECT p.id, p.unit_id, p.row_id, p.operation, p.made_at, {words.parsed} AS wished FROM proposal AS p
  WHERE p.table_name = '{table.name}' AND p.withdrawn_at IS NULL
    AND {words.tag} = (SELECT value FROM syncd_meta WHERE key = 'tag')
    AND (p.expires_at IS NULL OR p.expires_at > {words.now})
    AND NOT EXISTS (SELECT 1 FROM verdict AS v WHERE v.proposal_id = p.id AND v.outcome <> 'referred')
    AND NOT EXISTS (SELECT 1 FROM notice AS n WHERE n.proposal_id = p.id)
), syncd_marked AS (
  SELECT row_id, min(operation) AS pending FROM syncd_mine WHERE operation <> 'insert' GROUP BY row_id
), syncd_overlay AS ({words.overlay}
)
SELECT r.id, r.unit_id, k.pending AS pending, {PAST} AS is_past{over}
FROM {table.sql} AS r LEFT JOIN ({PASSED_ON}) AS e ON e.unit_id = r.unit_id
LEFT JOIN syncd_marked AS k ON k.row_id = r.id LEFT JOIN syncd_overlay AS o ON o.row_id = r.id
UNION ALL
SELECT m.id, m.unit_id, m.operation AS pending, 0 AS is_past{new}
FROM syncd_mine AS m WHERE m.operation = 'insert'"""


def _path(name: str) -> str:
    return f"'$.{name}'" if name.isascii() else f"'$.\"{name}\"'"


class _Sqlite:
    """JSON as SQLite reads it. A key that occurs twice must be sorted out before an object is made of the pairs."""

    tag = "substr(p.id, 29)"
    now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
    parsed = "CASE WHEN json_valid(p.wished) AND json_type(p.wished) = 'object' THEN p.wished ELSE '{}' END"
    overlay = """
  SELECT row_id, json_group_object(key, value) AS wished FROM (
    SELECT m.row_id, e.key, e.value,
      row_number() OVER (PARTITION BY m.row_id, e.key ORDER BY m.made_at DESC, m.id DESC) AS place
    FROM syncd_mine AS m, json_each(m.wished) AS e WHERE m.operation = 'update'
  ) WHERE place = 1 GROUP BY row_id"""

    def __init__(self, table: Table) -> None:
        """Nothing here depends on the table."""

    def has(self, wished: str, name: str) -> str:
        return f"json_type({wished}, {_path(name)}) IS NOT NULL"

    def value(self, wished: str, name: str, kind: Type) -> str:
        found = f"json_extract({wished}, {_path(name)})"
        return f"unhex({found})" if kind is Type.BYTES else found


class _Postgres:
    """JSON as PostgreSQL reads it: of a key that occurs twice, jsonb keeps the last."""

    tag = "substr(p.id::text, 29)"
    now = "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    overlay = """
  SELECT m.row_id, jsonb_object_agg(e.key, e.value ORDER BY m.made_at, m.id) AS wished
  FROM syncd_mine AS m, jsonb_each(m.wished) AS e WHERE m.operation = 'update' GROUP BY m.row_id"""

    def __init__(self, table: Table) -> None:
        self.parsed = f"syncd_wished('{table.name}', p.wished)"

    def has(self, wished: str, name: str) -> str:
        return f"jsonb_exists({wished}, '{name}')"

    def value(self, wished: str, name: str, kind: Type) -> str:
        return f"({wished} ->> '{name}')::{POSTGRES_TYPES.get(kind, 'text')}"
