"""Capture and guard on PostgreSQL: statement triggers with transition tables, one set-based INSERT per statement.

Enters: a table description. Leaves: functions and triggers as text, with what the catalogue must say of them.
Must hold: triggers fire ALWAYS; applying is skipped only for the daemon's own role; functions run as their owner, under
a fixed search_path or naming the schema of everything, so a clerk's role needs no right on the `syncd_…` tables and
cannot put its own in their place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schema import refusals
from schema.capture_postgres import APPLYING, delete_source, insert_source, update_source
from schema.ddl import Identity
from schema.keeps import keeper_changed_source
from schema.names import quoted
from schema.spec import Registry

# tgtype bits of pg_trigger: row 1, before 2, insert 4, delete 8, update 16, truncate 32.
ROW, BEFORE, INSERT, DELETE, UPDATE, TRUNCATE = 1, 2, 4, 8, 16, 32
EVENTS = {"insert": INSERT, "update": UPDATE, "delete": DELETE}
KEEPER_CHANGED = "syncd_keeper_changed"
# Fires the trigger that writes `syncd_keeps`, whatever the table holds.
WRITE_KEEPS = "UPDATE syncd_keeper SET mine = mine WHERE false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    name: str
    source: str
    arguments: str = ""
    returns: str = "trigger"
    search_path: str | None  # None: the source names the schema of every table, function, operator and type

    def statement(self) -> str:
        path = f"SET search_path = {self.search_path} " if self.search_path else ""
        return (
            f"CREATE OR REPLACE FUNCTION {quoted(self.name)}({self.arguments}) RETURNS {self.returns} LANGUAGE plpgsql "
            f"SECURITY DEFINER {path}AS $syncd${self.source}$syncd$"
        )

    @property
    def config(self) -> list[str]:
        return [f"search_path={self.search_path}"] if self.search_path else []


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
            f"CREATE OR REPLACE TRIGGER {quoted(self.name)} {self.event} ON {quoted(self.table)} {self.referencing}"
            f"FOR EACH {each} EXECUTE FUNCTION {quoted(self.function)}()"
        )
        yield f"ALTER TABLE {quoted(self.table)} ENABLE ALWAYS TRIGGER {quoted(self.name)}"


def functions(
    registry: Registry, identity: Identity, schema: str, *, propose: frozenset[str] = frozenset()
) -> Iterator[Function]:
    """`schema`: where the tables are, quoted as SQL wants it."""
    path = f"{schema}, pg_temp"
    yield Function(
        name="syncd_refuse",
        arguments="reason text, tab text, op text, row_id uuid, unit uuid",
        returns="void",
        source=_refuse_source(registry),
        search_path=path,
    )
    yield Function(name="syncd_truncate", source=_truncate_source(schema), search_path=path)
    yield Function(name=KEEPER_CHANGED, source=keeper_changed_source("new_rows"), search_path=path)
    for table in registry:
        for op, source in (("insert", insert_source), ("update", update_source), ("delete", delete_source)):
            text = source(table, identity.tag, schema)
            yield Function(name=f"syncd_{table.name}_{op}", source=text, search_path=None)
    if propose:
        yield Function(name="syncd_propose", source=_propose_source(schema), search_path=path)


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


def _refuse_source(registry: Registry) -> str:
    guards = {reason: message for table in registry for reason, message, _columns in refusals.guards(table)}
    cases = (
        ("keeper", refusals.KEEPER),
        ("minted", refusals.MINTED),
        ("root", refusals.ROOT),
        ("moved", refusals.MOVED),
        *sorted(guards.items()),
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


def _truncate_source(schema: str) -> str:
    return f"""
BEGIN
  {APPLYING.format(schema=schema, skip="RETURN NULL")}
  RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
    MESSAGE = replace('{refusals.TRUNCATED}', '{{table}}', TG_TABLE_NAME);
END """


def _propose_source(schema: str) -> str:
    """A foreign write becomes a proposal, and the write is skipped (RETURN NULL). Changed columns only."""
    return f"""
DECLARE
  before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'id' - 'unit_id' END;
  after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'id' - 'unit_id' END;
  unit uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.unit_id ELSE OLD.unit_id END;
  seen jsonb;
  wished jsonb;
BEGIN
  {APPLYING.format(schema=schema, skip="RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END")}
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
