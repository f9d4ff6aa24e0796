"""Capture and guard on PostgreSQL: statement triggers with transition tables, one set-based INSERT per statement.

Enters: a table description. Leaves: functions and triggers as text, with what the catalogue must say of them.
Must hold: triggers fire ALWAYS; applying is skipped only for the daemon's own role; functions run as their owner with a
fixed search_path, so a clerk's role needs no right on the `syncd_…` tables and cannot put its own in their place.

Most statements of a clerk write one row. What they cost is starting plans, so each capture function tries one short
INSERT first, that writes only when the statement changed exactly one row and nothing about it is to be refused;
whatever it leaves (many rows, nothing changed, a refusal, applying) goes the set-based way. See `_capture`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schema import refusals
from schema.ddl import Identity
from schema.keeps import NAME as KEEPS
from schema.keeps import keeper_changed_source
from schema.spec import Kind, Registry, Table

# The role is read only when the setting asks for it: an ordinary statement pays for one current_setting().
APPLYING = """IF current_setting('syncd.applying', true) = 'on' THEN
    IF session_user = (SELECT value FROM syncd_meta WHERE key = 'applying_role') THEN
      {skip};
    END IF;
  END IF;"""

# tgtype bits of pg_trigger: row 1, before 2, insert 4, delete 8, update 16, truncate 32.
ROW, BEFORE, INSERT, DELETE, UPDATE, TRUNCATE = 1, 2, 4, 8, 16, 32
EVENTS = {"insert": INSERT, "update": UPDATE, "delete": DELETE}
# A plan cached for one row must not run a nested loop over a later statement's 100 000 rows; JIT never pays here, and
# a plan first made for 100 000 rows would be compiled again for every single row after it.
SETTINGS = ("enable_nestloop=off", "jit=off")
KEEPER_CHANGED = "syncd_keeper_changed"
# Fires the trigger that writes `syncd_keeps`, whatever the table holds.
WRITE_KEEPS = "UPDATE syncd_keeper SET mine = mine WHERE false"


Rule = tuple[str, str]  # why a row is refused, and the condition under which it is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    name: str
    source: str
    arguments: str = ""
    returns: str = "trigger"
    settings: tuple[str, ...] = ()

    def statement(self, schema: str) -> str:
        config = "".join(f" SET {setting.replace('=', ' = ')}" for setting in self.settings)
        return (
            f"CREATE OR REPLACE FUNCTION {self.name}({self.arguments}) RETURNS {self.returns} LANGUAGE plpgsql "
            f"SECURITY DEFINER SET search_path = {schema}, pg_temp{config} AS $syncd${self.source}$syncd$"
        )

    def config(self, schema: str) -> list[str]:
        return sorted([f"search_path={schema}, pg_temp", *self.settings])


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    name: str
    table: str
    function: str
    type_bits: int
    event: str  # text between the name and ON
    referencing: str = ""
    old_rows: str | None = None
    new_rows: str | None = None

    def statements(self) -> Iterator[str]:
        each = "ROW" if self.type_bits & ROW else "STATEMENT"
        yield (
            f"CREATE OR REPLACE TRIGGER {self.name} {self.event} ON {self.table} {self.referencing}"
            f"FOR EACH {each} EXECUTE FUNCTION {self.function}()"
        )
        yield f"ALTER TABLE {self.table} ENABLE ALWAYS TRIGGER {self.name}"


def functions(registry: Registry, identity: Identity, *, propose: frozenset[str] = frozenset()) -> Iterator[Function]:
    yield Function(
        name="syncd_refuse",
        arguments="reason text, tab text, op text, row_id uuid, unit uuid",
        returns="void",
        source=_refuse_source(),
    )
    yield Function(name="syncd_truncate", source=_truncate_source())
    yield Function(name=KEEPER_CHANGED, source=keeper_changed_source("new_rows"))
    for table in registry:
        for op, source in (("insert", _insert), ("update", _update), ("delete", _delete)):
            yield Function(name=f"syncd_{table.name}_{op}", source=source(table, identity.tag), settings=SETTINGS)
    if propose:
        yield Function(name="syncd_propose", source=_propose_source())


def triggers(registry: Registry, *, propose: frozenset[str] = frozenset()) -> Iterator[Trigger]:
    for table in registry:
        for op, bit in EVENTS.items():
            old, new = op != "insert", op != "delete"
            words = [word for word, on in (("OLD TABLE AS old_rows", old), ("NEW TABLE AS new_rows", new)) if on]
            yield Trigger(
                name=f"syncd_{table.name}_{op}",
                table=table.name,
                function=f"syncd_{table.name}_{op}",
                type_bits=bit,
                event=f"AFTER {op.upper()}",
                referencing=f"REFERENCING {' '.join(words)} ",
                old_rows="old_rows" if old else None,
                new_rows="new_rows" if new else None,
            )
            if table.name in propose:
                yield Trigger(
                    name=f"syncd_{table.name}_propose_{op}",
                    table=table.name,
                    function="syncd_propose",
                    type_bits=ROW | BEFORE | bit,
                    event=f"BEFORE {op.upper()}",
                )
        yield Trigger(
            name=f"syncd_{table.name}_truncate",
            table=table.name,
            function="syncd_truncate",
            type_bits=BEFORE | TRUNCATE,
            event="BEFORE TRUNCATE",
        )
    yield Trigger(
        name="syncd_keeper_insert",
        table="syncd_keeper",
        function=KEEPER_CHANGED,
        type_bits=INSERT,
        event="AFTER INSERT",
        referencing="REFERENCING NEW TABLE AS new_rows ",
        new_rows="new_rows",
    )
    yield Trigger(
        name="syncd_keeper_change",
        table="syncd_keeper",
        function=KEEPER_CHANGED,
        type_bits=UPDATE | DELETE | TRUNCATE,
        event="AFTER UPDATE OR DELETE OR TRUNCATE",
    )


def _capture(table: Table, op: str, rows: str, one: str, write: str, diagnose: str) -> str:
    """A capture function. `one` writes the only row of a statement, if nothing about it is to be refused: 99 of 100
    statements end there. Otherwise `write` is one INSERT … SELECT of all rows this node may write; only when it wrote
    fewer than the statement changed does `diagnose` look for the row to refuse. (Refusing inside the INSERT would put
    its whole text into the CONTEXT a person has to read.)"""
    return f"""
DECLARE
  written bigint;
  refused record;
BEGIN
  {one};
  IF FOUND THEN
    RETURN NULL;
  END IF;
  {APPLYING.format(skip="RETURN NULL")}
  {write};
  GET DIAGNOSTICS written = ROW_COUNT;
  IF written <> (SELECT count(*) FROM {rows}) THEN
    {diagnose} LIMIT 1;
    IF FOUND THEN
      PERFORM syncd_refuse(refused.reason, '{table.name}', '{op}', refused.id, refused.unit_id);
    END IF;
  END IF;
  RETURN NULL;
END """


def _insert(table: Table, tag: str) -> str:
    rules = [*_of_kind(table, "r"), _minted(tag, "r")]
    write = f"""INSERT INTO syncd_journal (tx, tab, op, row_id, unit_id)
  SELECT txid_current(), {table.number}, 1, r.id, r.unit_id FROM new_rows AS r"""
    return _capture(
        table,
        "insert",
        "new_rows",
        f"{write} WHERE {_only('new_rows', rules)}",
        f"{write} WHERE ({_reason(rules)}) IS NULL",
        _find_refused("new_rows", rules),
    )


def _update(table: Table, tag: str) -> str:
    """OFFSET 0 keeps the mask computed once. A row whose id was changed finds no old row, and is refused. Of one row,
    the old and the new stand alone in their tables: no join is started, and both are read in the order of the columns,
    which spares a projection."""
    rules, rules_of_new = _kept_rules(table, tag, "r"), _kept_rules(table, tag, "n")
    moved = [("moved", "NOT r.moved"), *rules]
    names = _fold_columns(table)
    was = "".join(f", o.{name} AS was_{name}" for name in names)
    image = _image(f"r.was_{name}" for name in names)
    kept = f"CASE WHEN r.mask & {table.fold_mask} <> 0 THEN {image} END" if names else "NULL"
    write = f"""INSERT INTO syncd_journal (tx, tab, op, row_id, unit_id, mask, was)
  SELECT txid_current(), {table.number}, 2, r.id, r.unit_id, r.mask, {kept}"""
    return _capture(
        table,
        "update",
        "new_rows",
        f"""{write}
  FROM (SELECT n.id, n.unit_id, o.id AS old_id, o.unit_id AS old_unit, {_mask_of_one(table)} AS mask{was}
    FROM new_rows AS n, old_rows AS o WHERE {_only("new_rows", rules_of_new)} OFFSET 0) AS r
  WHERE r.mask <> 0 AND r.old_id = r.id AND r.old_unit IS NOT DISTINCT FROM r.unit_id""",
        f"""{write}
  FROM (SELECT n.id, n.unit_id, {_mask_of_many(table)} AS mask{was}
    FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
    WHERE o.unit_id IS NOT DISTINCT FROM n.unit_id OFFSET 0) AS r
  WHERE r.mask <> 0 AND ({_reason(rules)}) IS NULL""",
        f"""SELECT r.id, r.unit_id, {_reason(moved)} AS reason INTO refused
    FROM (SELECT n.id, n.unit_id, o.id IS NULL OR o.unit_id IS DISTINCT FROM n.unit_id AS moved
      FROM new_rows AS n LEFT JOIN old_rows AS o ON o.id = n.id
      WHERE ROW(n.*) IS DISTINCT FROM ROW(o.*)) AS r
    WHERE ({_reason(moved)}) IS NOT NULL""",
    )


def _delete(table: Table, tag: str) -> str:
    rules = _kept_rules(table, tag, "r")
    names = _fold_columns(table)
    write = f"""INSERT INTO syncd_journal (tx, tab, op, row_id, unit_id, was)
  SELECT txid_current(), {table.number}, 3, r.id, r.unit_id, {_image(f"r.{n}" for n in names) if names else "NULL"}
  FROM old_rows AS r"""
    return _capture(
        table,
        "delete",
        "old_rows",
        f"{write} WHERE {_only('old_rows', rules)}",
        f"{write} WHERE ({_reason(rules)}) IS NULL",
        _find_refused("old_rows", rules),
    )


def _mask_of_one(table: Table) -> str:
    """The bits as a text of digits: a third less to start than a CASE and an OR per column, but dearer per row."""
    changed = ", ".join(f"o.{c.name} IS DISTINCT FROM n.{c.name}" for c in table.all_columns[2:])
    digits = f"translate(reverse(array_to_string(ARRAY[false, false, {changed}], '')), 'ft', '01')"
    return f"{digits}::bit({len(table.all_columns)})::bigint"


def _mask_of_many(table: Table) -> str:
    return " | ".join(
        f"CASE WHEN o.{c.name} IS DISTINCT FROM n.{c.name} THEN {1 << c.number}::bigint ELSE 0 END"
        for c in table.all_columns[2:]
    )


def _only(rows: str, rules: list[Rule]) -> str:
    """True for the only row of a statement when all rules allow it. Applying is looked into later, with its role."""
    skip = f"(SELECT true FROM {rows} OFFSET 1 LIMIT 1) OR current_setting('syncd.applying', true) = 'on'"
    return f"CASE WHEN {skip} THEN false ELSE {' AND '.join(allowed for _, allowed in rules) or 'true'} END"


def _reason(rules: list[Rule]) -> str:
    """Why a row is refused, or NULL."""
    cases = " ".join(f"WHEN ({allowed}) IS NOT TRUE THEN '{reason}'" for reason, allowed in rules)
    return f"CASE {cases} END" if cases else "NULL::text"


def _find_refused(rows: str, rules: list[Rule]) -> str:
    return (
        f"SELECT r.id, r.unit_id, x.reason INTO refused FROM {rows} AS r, LATERAL (SELECT {_reason(rules)}) "
        "AS x(reason) WHERE x.reason IS NOT NULL"
    )


def _kept_rules(table: Table, tag: str, row: str) -> list[Rule]:
    """For rows that exist: those of a register may have come from another keeper, so who minted them says nothing."""
    minted = [] if table.kind is Kind.REGISTER else [_minted(tag, row)]
    return [*_of_kind(table, row), *minted]


def _of_kind(table: Table, row: str) -> list[Rule]:
    """Register: the row's unit is kept here. Oversight: rows about all units are the root's."""
    if table.kind is Kind.REGISTER:
        return [("keeper", f"{KEEPS}({row}.unit_id)")]
    if table.kind is Kind.OVERSIGHT:
        root = "(SELECT value FROM syncd_meta WHERE key = 'depth') = '0'"
        return [("root", f"({row}.unit_id IS NOT NULL OR {root})")]
    return []


def _minted(tag: str, row: str) -> Rule:
    # uuid_send is the 16 bytes as they are; the text form costs three times as much.
    return "minted", f"substring(uuid_send({row}.id) FROM 13) = '\\x{tag}'::bytea"


def _fold_columns(table: Table) -> list[str]:
    if table.fold is None:
        return []
    return [*table.fold.columns, *([table.fold.date_column] if table.fold.date_column else [])]


def _image(values: Iterator[str]) -> str:
    """A JSON array; dates are ISO in JSON whatever DateStyle says."""
    return f"json_build_array({', '.join(values)})::text"


def _refuse_source() -> str:
    cases = (
        ("keeper", refusals.KEEPER),
        ("minted", refusals.MINTED),
        ("root", refusals.ROOT),
        ("moved", refusals.MOVED),
    )
    branches = "\n    ".join(f"WHEN '{reason}' THEN '{message}'" for reason, message in cases)
    return f"""
DECLARE message text;
BEGIN
  message := CASE reason
    {branches} END;
  message := replace(replace(replace(message, '{{table}}', tab), '{{op}}', op), '{{id}}', row_id::text);
  message := replace(message, '{{unit}}', coalesce(unit::text, '-'));
  message := replace(message, '{{keeper}}', coalesce((SELECT coalesce(n.name, k.node_id::text) FROM syncd_keeper AS k
    LEFT JOIN node AS n ON n.node_id = k.node_id WHERE k.unit_id = unit LIMIT 1), '{refusals.UNKNOWN}'));
  RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = message,
    HINT = format('syncd propose %s %s %s', op, tab, row_id);
END """


def _truncate_source() -> str:
    return f"""
BEGIN
  {APPLYING.format(skip="RETURN NULL")}
  RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
    MESSAGE = replace('{refusals.TRUNCATED}', '{{table}}', TG_TABLE_NAME);
END """


def _propose_source() -> str:
    """A foreign write becomes a proposal, and the write is skipped (RETURN NULL). Changed columns only."""
    return f"""
DECLARE
  before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'id' - 'unit_id' END;
  after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'id' - 'unit_id' END;
  unit uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.unit_id ELSE OLD.unit_id END;
  seen jsonb;
  wished jsonb;
BEGIN
  {APPLYING.format(skip="RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END")}
  IF before IS NOT DISTINCT FROM after OR (SELECT coalesce(max(k.mine), 1) FROM syncd_keeper AS k
    WHERE k.unit_id = unit) = 1 THEN
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
  END IF;
  SELECT jsonb_object_agg(e.key, e.value) INTO seen FROM jsonb_each(before) AS e
    WHERE e.value IS DISTINCT FROM coalesce(after, '{{}}') -> e.key AND (after IS NOT NULL OR e.value <> 'null');
  SELECT jsonb_object_agg(e.key, e.value) INTO wished FROM jsonb_each(after) AS e
    WHERE e.value IS DISTINCT FROM coalesce(before, '{{}}') -> e.key AND (before IS NOT NULL OR e.value <> 'null');
  INSERT INTO proposal (unit_id, table_name, row_id, operation, seen, wished, author, reason, made_at, author_depth)
  VALUES (unit, TG_TABLE_NAME, CASE WHEN TG_OP <> 'INSERT' THEN OLD.id END, lower(TG_OP),
    coalesce(seen, '{{}}')::text, coalesce(wished, '{{}}')::text, session_user, 'sql',
    to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    (SELECT value::bigint FROM syncd_meta WHERE key = 'depth'));
  RETURN NULL;
END """
