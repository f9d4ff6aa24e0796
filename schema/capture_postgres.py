"""The capture functions of a table on PostgreSQL, as text: what a statement changed is journaled, or refused.

Enters: a table description, the node's tag, the schema the tables are in. Leaves: plpgsql sources for insert, update
and delete. Must hold: every changed row is journaled once or the statement fails; nobody's search_path, settings or
temporary tables change what runs here with the rights of the owner.

Most statements of a clerk change one row, and what they pay for is starting, not running: a second query, a second
table, each setting of the function cost more than the row. So each function tries one short INSERT first (`_only`): it
writes when the statement changed exactly one row and all rules allow it. What is left (many rows, no change, a refusal,
applying) goes the set-based way. The short way runs under the caller's search_path, since putting another in its place
costs as much as the INSERT itself; so it names the schema of every table, function, operator and type (see `_only` for
the one exception).
"""

from __future__ import annotations

from collections.abc import Iterable

from schema import refusals
from schema.keeps import NAME as KEEPS
from schema.names import quoted
from schema.spec import Kind, Table

Rule = tuple[str, str]  # why a row is refused, and the condition under which it is not

# The role is read only when the setting asks for it: an ordinary statement pays for one current_setting().
APPLYING = """IF pg_catalog.current_setting('syncd.applying', true) OPERATOR(pg_catalog.=) 'on' THEN
    IF session_user OPERATOR(pg_catalog.=) (SELECT m.value FROM {schema}.syncd_meta AS m
      WHERE m.key OPERATOR(pg_catalog.=) 'applying_role') THEN
      {skip};
    END IF;
  END IF;"""
# For the set-based way. A plan made for two rows must not run a nested loop over a later statement's 100 000; JIT never
# pays here, and a plan first made for 100 000 rows would be compiled again at every later statement.
SETTINGS = (("search_path", "{schema}, pg_temp"), ("enable_nestloop", "off"), ("jit", "off"))


def insert_source(table: Table, tag: str, schema: str) -> str:
    rules = [*_rules_of_kind(table, schema, "r"), _minted(tag, "r"), *_guards(table, schema, "r")]
    write = f"""INSERT INTO {schema}.syncd_journal (tx, tab, op, row_id, unit_id)
  SELECT pg_catalog.txid_current(), {table.number}, 1, r.id, r.unit_id FROM new_rows AS r"""
    return _capture(
        table,
        schema,
        "insert",
        one=f"{write} WHERE {_only('new_rows', rules)}",
        many=f"{write} WHERE ({_reason(rules)}) IS NULL",
        refused=_find_refused("new_rows", rules),
    )


def update_source(table: Table, tag: str, schema: str) -> str:
    """OFFSET 0 keeps the mask computed once. A row whose id was changed finds no old row, and is refused. In the short
    way the columns are read in their order, which spares a projection, and new_rows is the outer side of the join, so
    that many rows end it at once whatever plan the session has kept."""
    rules, rules_of_new = ([*_rules(table, tag, schema, row), *_guards(table, schema, row)] for row in ("r", "n"))
    guarded = "".join(f", n.{name}" for name in _guarded(table))
    names = [] if table.fold is None else table.fold.all_columns
    was = "".join(f", o.{quoted(name)} AS {quoted(f'was_{name}')}" for name in names)
    kept = f"(r.mask OPERATOR(pg_catalog.&) {table.fold_mask}::bigint) OPERATOR(pg_catalog.<>) 0"
    image = f"CASE WHEN {kept} THEN {_image('r.' + quoted(f'was_{name}') for name in names)} END" if names else "NULL"
    write = f"""INSERT INTO {schema}.syncd_journal (tx, tab, op, row_id, unit_id, mask, was)
  SELECT pg_catalog.txid_current(), {table.number}, 2, r.id, r.unit_id, r.mask, {image}"""
    moved = [("moved", "NOT r.moved"), *rules]
    return _capture(
        table,
        schema,
        "update",
        one=f"""{write}
  FROM (SELECT n.id, n.unit_id, o.id AS old_id, o.unit_id AS old_unit, {_mask(table)} AS mask{was}
    FROM new_rows AS n LEFT JOIN old_rows AS o ON o.id OPERATOR(pg_catalog.=) n.id
    WHERE {_only("new_rows", rules_of_new)} OFFSET 0) AS r
  WHERE r.mask OPERATOR(pg_catalog.<>) 0 AND r.old_id IS NOT NULL AND r.old_unit IS NOT DISTINCT FROM r.unit_id""",
        many=f"""{write}
  FROM (SELECT n.id, n.unit_id{guarded}, {_mask(table)} AS mask{was}
    FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
    WHERE o.unit_id IS NOT DISTINCT FROM n.unit_id OFFSET 0) AS r
  WHERE r.mask <> 0 AND ({_reason(rules)}) IS NULL""",
        refused=f"""SELECT r.id, r.unit_id, {_reason(moved)} AS reason INTO refused
    FROM (SELECT n.id, n.unit_id{guarded}, o.id IS NULL OR o.unit_id IS DISTINCT FROM n.unit_id AS moved
      FROM new_rows AS n LEFT JOIN old_rows AS o ON o.id = n.id
      WHERE ROW(n.*) IS DISTINCT FROM ROW(o.*)) AS r
    WHERE ({_reason(moved)}) IS NOT NULL""",
    )


def delete_source(table: Table, tag: str, schema: str) -> str:
    rules = _rules(table, tag, schema, "r")
    image = "NULL" if table.fold is None else _image(f"r.{quoted(name)}" for name in table.fold.all_columns)
    write = f"""INSERT INTO {schema}.syncd_journal (tx, tab, op, row_id, unit_id, was)
  SELECT pg_catalog.txid_current(), {table.number}, 3, r.id, r.unit_id, {image} FROM old_rows AS r"""
    return _capture(
        table,
        schema,
        "delete",
        one=f"{write} WHERE {_only('old_rows', rules)}",
        many=f"{write} WHERE ({_reason(rules)}) IS NULL",
        refused=_find_refused("old_rows", rules),
    )


def _capture(table: Table, schema: str, op: str, *, one: str, many: str, refused: str) -> str:
    """`many` writes all rows this node may write; only when these are fewer than the statement changed does `refused`
    look for the row to refuse. (Refusing inside the INSERT would put its whole text into the CONTEXT a person has to
    read.) The settings are put back for the rest of the transaction; an error puts them back by itself."""
    names = [name for name, _ in SETTINGS]
    kept = ", ".join(_setting(name) for name in names)
    literal = schema.replace("'", "''")
    change = ", ".join(f"pg_catalog.set_config('{n}', '{v.format(schema=literal)}', true)" for n, v in SETTINGS)
    restore = ", ".join(f"pg_catalog.set_config('{n}', kept[{at}], true)" for at, n in enumerate(names, start=1))
    return f"""
DECLARE
  kept pg_catalog.text[];
  written bigint;
  refused record;
BEGIN
  {one};
  IF FOUND THEN
    RETURN NULL;
  END IF;
  {APPLYING.format(schema=schema, skip="RETURN NULL")}
  kept := ARRAY[{kept}];
  PERFORM {change};
  {many};
  GET DIAGNOSTICS written = ROW_COUNT;
  IF written <> (SELECT count(*) FROM {"old_rows" if op == "delete" else "new_rows"}) THEN
    {refused} LIMIT 1;
    IF FOUND THEN
      PERFORM syncd_refuse(refused.reason, '{table.name}', '{op}', refused.id, refused.unit_id);
    END IF;
  END IF;
  PERFORM {restore};
  RETURN NULL;
END """


def _only(rows: str, rules: list[Rule]) -> str:
    """True for the only row of a statement when all rules allow it. Applying is looked into later, with its role.

    IS DISTINCT FROM cannot name the schema of its operator. PostgreSQL's own comes first for equal types, unless the
    search_path itself lists pg_catalog, perhaps last: then nothing of the short way is evaluated but this condition."""
    conditions = (
        f"EXISTS (SELECT FROM {rows} OFFSET 1)",
        f"{_setting('syncd.applying', missing='true')} OPERATOR(pg_catalog.=) 'on'",
        f"pg_catalog.strpos(pg_catalog.lower({_setting('search_path')}), 'pg_catalog') OPERATOR(pg_catalog.<>) 0",
    )
    allowed = " AND ".join(allowed for _, allowed in rules) or "true"
    return f"CASE WHEN {' OR '.join(conditions)} THEN false ELSE {allowed} END"


def _mask(table: Table) -> str:
    return " | ".join(
        f"CASE WHEN o.{c.sql} IS DISTINCT FROM n.{c.sql} THEN {1 << c.number}::bigint ELSE 0 END"
        for c in table.all_columns[2:]
    )


def _setting(name: str, missing: str = "false") -> str:
    return f"pg_catalog.current_setting('{name}', {missing})"


def _reason(rules: list[Rule]) -> str:
    """Why a row is refused, or NULL."""
    cases = " ".join(f"WHEN ({allowed}) IS NOT TRUE THEN '{reason}'" for reason, allowed in rules)
    return f"CASE {cases} END" if cases else "NULL::text"


def _find_refused(rows: str, rules: list[Rule]) -> str:
    return (
        f"SELECT r.id, r.unit_id, x.reason INTO refused FROM {rows} AS r, LATERAL (SELECT {_reason(rules)}) "
        "AS x(reason) WHERE x.reason IS NOT NULL"
    )


def _rules(table: Table, tag: str, schema: str, row: str) -> list[Rule]:
    """For rows that exist: those of a register may have come from another keeper, so who minted them says nothing."""
    minted = [] if table.kind is Kind.REGISTER else [_minted(tag, row)]
    return [*_rules_of_kind(table, schema, row), *minted]


def _rules_of_kind(table: Table, schema: str, row: str) -> list[Rule]:
    """Register: the row's unit is kept here. Oversight: rows about all units are the root's."""
    if table.kind is Kind.REGISTER:
        return [("keeper", f"{schema}.{KEEPS}({row}.unit_id)")]
    if table.kind is Kind.OVERSIGHT:
        depth = f"SELECT m.value FROM {schema}.syncd_meta AS m WHERE m.key OPERATOR(pg_catalog.=) 'depth'"
        return [("root", f"({row}.unit_id IS NOT NULL OR ({depth}) OPERATOR(pg_catalog.=) '0')")]
    return []


def _guards(table: Table, schema: str, row: str) -> list[Rule]:
    """Nothing passes to itself, no row stands above itself."""
    found = []
    for reason, _message, apart in refusals.guards(table):
        if apart is None:
            found.append((reason, f"NOT EXISTS ({_above(table, schema, row)})"))
            continue
        same = f"({row}.{apart.column} OPERATOR(pg_catalog.=) {row}.{apart.other}) IS NOT TRUE"
        exempt = f" OR {row}.{apart.unless[0]} OPERATOR(pg_catalog.=) {apart.unless[1]}::bigint" if apart.unless else ""
        found.append((reason, f"({same}{exempt})"))
    return found


def _guarded(table: Table) -> list[str]:
    """The columns that `_guards` reads, but `id`."""
    names = [name for apart in table.apart for name in (apart.column, apart.other, *(apart.unless or ())[:1])]
    return sorted({str(name) for name in (*names, *filter(None, [table.above]))} - {"id"})


def _above(table: Table, schema: str, row: str) -> str:
    """A row, when this one would stand above itself. Each step looks one row up by its key: a join would read the whole
    table for every row of the statement, since nested loops are off in the set-based way."""
    above = table.above
    step = f"SELECT t.{above} FROM {schema}.{table.name} AS t WHERE t.id OPERATOR(pg_catalog.=) up.id"
    return (
        f"WITH RECURSIVE up (id) AS (SELECT {row}.{above} UNION SELECT ({step}) FROM up WHERE up.id IS NOT NULL)"
        f" SELECT FROM up WHERE up.id OPERATOR(pg_catalog.=) {row}.id"
    )


def _minted(tag: str, row: str) -> Rule:
    # uuid_send is the 16 bytes as they are; the text form costs three times as much.
    last = f"pg_catalog.substring(pg_catalog.uuid_send({row}.id), 13)"
    return "minted", f"{last} OPERATOR(pg_catalog.=) pg_catalog.decode('{tag}', 'hex')"


def _image(values: Iterable[str]) -> str:
    """A JSON array; dates are ISO in JSON whatever DateStyle says."""
    return f"pg_catalog.json_build_array({', '.join(values)})::pg_catalog.text"
