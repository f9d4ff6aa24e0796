"""Names of tables and columns as SQL: the one place that quotes.

Enters: a name. Leaves: the same name as both databases read it. Must hold: lower-case names that are no word of SQL
stay as they are, so that statements read well; all others (`order`, `PlaylistTrack`, `hộ_khẩu`) stand in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# Words that either database takes for its own, wherever a name may stand (PostgreSQL 15–18, SQLite 3.53).
_WORDS = """
abort action add after all alter always analyse analyze and any array as asc asymmetric attach authorization
autoincrement before begin between bigint binary bit boolean both by cascade case cast char character check coalesce
collate collation column commit concurrently conflict constraint create cross current current_catalog current_date
current_role current_schema current_time current_timestamp current_user database dec decimal default deferrable
deferred delete desc detach distinct do drop each else end escape except exclude exclusive exists explain extract fail
false fetch filter first float following for foreign freeze from full generated glob grant greatest group grouping
groups having if ignore ilike immediate in index indexed initially inner inout insert instead int integer intersect
interval into is isnull join json json_array json_arrayagg json_exists json_object json_objectagg json_query
json_scalar json_serialize json_table json_value key last lateral leading least left like limit localtime
localtimestamp match materialized merge_action national natural nchar no none normalize not nothing notnull null
nullif nulls numeric of offset oid on only or order others out outer over overlaps overlay partition placing plan
position pragma preceding precision primary query raise range real recursive references regexp reindex release rename
replace restrict returning right rollback row rowid rows savepoint select session_user set setof similar smallint some
substring symmetric system_user table tablesample temp temporary then ties time timestamp to trailing transaction
treat trigger trim true unbounded union unique update user using vacuum values varchar variadic verbose view virtual
when where window with within without xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse
xmlpi xmlroot xmlserialize xmltable
"""
WORDS = frozenset(_WORDS.split())


@lru_cache(maxsize=4096)
def quoted(name: str) -> str:
    """A name as SQL."""
    if _PLAIN.fullmatch(name) and name not in WORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str]) -> str:
    """Names as SQL, with commas."""
    return ", ".join(map(quoted, names))


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"
