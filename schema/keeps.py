"""`syncd_keeps(unit)`: the units whose register this node keeps, as literals in a function (PostgreSQL).

Enters: nothing, or the units kept. Leaves: the text of the function, and of the trigger function that writes it anew.
Must hold: it says what `syncd_keeper` says at the end of every statement, in the same transaction, whoever wrote there.

Reading `syncd_keeper` in each capture opens a second table, a tenth of what capturing a single row costs; a function of
literals is inlined into the plan and costs nothing. When it is replaced, every session plans anew by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

NAME = "syncd_keeps"
# Inlined under the search_path of whoever calls, so the operator and the type are named in full.
BEFORE_UNITS = "SELECT unit OPERATOR(pg_catalog.=) ANY ('{"
AFTER_UNITS = "}'::pg_catalog.uuid[])"


def keeps_source(unit_ids: Iterable[str]) -> str:
    """What the catalogue must hold as the body of the function. The order of the ids is that of their bytes."""
    return BEFORE_UNITS + ",".join(sorted(unit_ids)) + AFTER_UNITS


def keeper_changed_source(inserted: str) -> str:
    """Replaces the function when the units kept are not those it names. `inserted`: the transition table of an INSERT;
    a node above hundreds of units stores their keepers one by one, and none of those changes what is kept here."""
    units = "string_agg(k.unit_id::text, ',' ORDER BY k.unit_id)"
    return f"""
DECLARE wanted text;
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM {inserted} WHERE mine = 1) THEN
      RETURN NULL;
    END IF;
  END IF;
  -- Of two transactions that replace a function at once one fails; so it waits, and reads what the other has left.
  PERFORM pg_advisory_xact_lock(hashtextextended('{NAME}', 0));
  wanted := (SELECT {_quoted(BEFORE_UNITS)} || coalesce({units}, '') || {_quoted(AFTER_UNITS)}
    FROM syncd_keeper AS k WHERE k.mine = 1);
  IF wanted IS DISTINCT FROM (SELECT p.prosrc FROM pg_proc AS p WHERE p.oid = to_regprocedure('{NAME}(uuid)')) THEN
    EXECUTE format('CREATE OR REPLACE FUNCTION %I.{NAME}(unit uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS %L',
      current_schema(), wanted);
  END IF;
  RETURN NULL;
END """


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
