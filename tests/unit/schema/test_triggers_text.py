"""What the generated triggers promise as text: built-in SQL, every table, no library the daemon must not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

from schema import triggers
from schema.ddl import Identity, SchemaError
from tests.schema_builders import IDENTITY, REGISTRY

UNIT = IDENTITY.unit_id


@pytest.mark.parametrize("dialect", ["sqlite", "sqlite-portable", "postgres"])
def test_every_replicated_table_has_capture_for_every_operation(dialect: str) -> None:
    text = "\n".join(triggers.statements(dialect, REGISTRY, IDENTITY))
    for table in REGISTRY:
        for op in ("insert", "update", "delete"):
            assert f"TRIGGER syncd_{table.name}_{op} AFTER {op.upper()}" in text


def test_a_portable_message_is_a_literal() -> None:
    for text in triggers.statements("sqlite-portable", REGISTRY, IDENTITY):
        for part in text.split("RAISE(ABORT, ")[1:]:
            assert part.startswith("'")
            assert "||" not in part.split(")")[0]


def test_system_tables_never_turn_foreign_writes_into_proposals() -> None:
    proposing = "\n".join(triggers.statements("sqlite", REGISTRY, IDENTITY, foreign_writes="propose"))
    assert "syncd_person_propose_update" in proposing
    assert "syncd_verdict_propose_update" not in proposing
    assert "syncd_unit_propose_update" not in proposing


@pytest.mark.parametrize(
    "fields",
    [
        {"tag": "AAAABBBB"},
        {"tag": "aaaabbbc"},
        {"unit_id": "'; DROP TABLE person; --"},
        {"node_id": "x"},
        {"unit_id": UNIT + "\n"},
    ],
)
def test_an_identity_that_is_not_hex_never_becomes_sql(fields: dict[str, str]) -> None:
    good = {"node_id": IDENTITY.node_id, "tag": IDENTITY.tag, "unit_id": UNIT}
    with pytest.raises(SchemaError):
        Identity(**{**good, **fields})


def test_the_daemons_part_of_the_schema_loads_no_sqlalchemy() -> None:
    code = (
        "import sys, schema.triggers, schema.tables, schema.values, schema.local, schema.install; "
        "sys.exit(any(m.split('.')[0] in ('sqlalchemy', 'alembic') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
