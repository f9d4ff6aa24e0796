"""The initial schema: system tables, population records and the node's own tables.

Enters: an open connection; `config.attributes` names dialect and identity (its tag is part of id defaults).
Leaves: the tables, written out as they were at this revision.
Must hold: nothing here reads the models: a later model never changes what this file makes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from schema.migrations.words_0001 import drop_functions, install_functions, local, may, need, replicated, set_storage

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Rules the two databases need different words for: (SQLite's, PostgreSQL's).
CITIZEN_ID = (
    "length(citizen_id) = 12 AND citizen_id NOT GLOB '*[^0-9]*'",
    "citizen_id ~ '^[0-9]{12}$'",
)
HOUSEHOLD_NUMBER = (
    "number GLOB '[0-9]*' AND number NOT GLOB '*[^0-9.]*' AND "
    "(instr(number, '.') = 0 OR instr(number, '.') = length(number) - 1)",
    "number ~ '^[0-9]+([.][0-9])?$'",
)


REGISTERS = (
    "verdict", "household", "person", "birth", "death", "migration",
)  # fmt: skip
# Referring tables before the tables they refer to.
DROPPED = (
    "syncd_identity_due", "syncd_identity_part", "syncd_identity_key", "syncd_identity_person", "syncd_cell_flow",
    "syncd_cell_stock", "syncd_agenda", "syncd_looked", "syncd_case_row", "syncd_case", "syncd_token",
    "syncd_partial", "syncd_quarantine", "syncd_receipt", "syncd_peer", "syncd_checkpoint", "syncd_log", "syncd_wish",
    "syncd_baseline", "syncd_term", "syncd_stream", "syncd_journal", "syncd_keeper", "syncd_replacing",
    "syncd_applying", "syncd_meta", "move_match", "person_link", "person_check", "migration", "death", "birth",
    "person", "household", "code", "code_list", "unit_change", "unit", "notice", "resolution", "reassignment",
    "handover",
    "verdict", "proposal", "key_grant", "node",
)  # fmt: skip


def upgrade() -> None:
    """Creates everything, referenced tables first."""
    install_functions()
    _system_tables()
    _reference_tables()
    _households_and_persons()
    _events()
    _log_tables()
    _work_tables()
    _identity_tables()
    set_storage(REGISTERS)


def downgrade() -> None:
    """Removes everything; triggers go with their tables, views stand in their way."""
    for view in sa.inspect(op.get_bind()).get_view_names():
        if view.startswith("v_") or view.endswith("_with_pending"):
            op.execute(f"DROP VIEW {view}")
    for name in DROPPED:
        op.drop_table(name)
    drop_functions()


def _system_tables() -> None:
    replicated(
        "node",
        (
            need("node_id", "uuid"),
            may("parent_id", "uuid"),
            need("name", "text", 200),
            need("signing_public", "bytes", 32),
            need("sealing_public", "bytes", 32),
            need("home_unit_id", "uuid"),
            need("term", "int"),
            need("status", "text", 20),
            need("enrolled_at", "instant"),
        ),
        rules={
            "signing_public_rule": "length(signing_public) = 32",
            "sealing_public_rule": "length(sealing_public) = 32",
            "term_rule": "term BETWEEN 0 AND 1000000000000000",
            "status_rule": "status IN ('enrolled', 'revoked')",
        },
    )
    replicated(
        "key_grant",
        (
            need("stream_id", "uuid"),
            need("audience", "int"),
            need("epoch", "int"),
            need("reader_id", "uuid"),
            need("sealed_key", "bytes", 80),
        ),
        rules={
            "audience_rule": "audience BETWEEN 1 AND 255",
            "epoch_rule": "epoch BETWEEN 1 AND 4294967295",
            "sealed_key_rule": "length(sealed_key) = 80",
        },
        indexes=(("stream_id", "audience", "epoch"),),
    )
    replicated(
        "proposal",
        (
            need("table_name", "text", 63),
            may("row_id", "uuid"),
            need("operation", "text", 10),
            need("seen", "text", 65536),
            need("wished", "text", 65536),
            need("author", "text", 200),
            need("reason", "text", 2000),
            need("made_at", "instant"),
            may("clock_offset_ms", "int"),
            need("author_depth", "int"),
            may("withdrawn_at", "instant"),
            may("expires_at", "instant"),
        ),
        rules={
            "operation_rule": "operation IN ('insert', 'update', 'delete')",
            "clock_offset_ms_rule": "clock_offset_ms BETWEEN -253402300799999 AND 253402300799999",
            "author_depth_rule": "author_depth BETWEEN 0 AND 32",
        },
        indexes=(("row_id",),),
    )
    replicated(
        "verdict",
        (
            need("proposal_id", "uuid"),
            need("outcome", "text", 20),
            may("row_id", "uuid"),
            need("detail", "text", 65536),
            may("case_kind", "text", 40),
            need("decided_at", "instant"),
            need("decided_by", "text", 200),
            may("resolves", "uuid"),
        ),
        register=True,
        rules={"outcome_rule": "outcome IN ('accepted', 'partly', 'rejected', 'review', 'referred')"},
        indexes=(("proposal_id",),),
    )
    for name, table, column, only in (
        ("ix_proposal_inserted", "proposal", "row_id", "operation = 'insert'"),
        ("ix_verdict_referred", "verdict", "proposal_id", "outcome = 'referred'"),
        ("ix_verdict_resolves", "verdict", "resolves", "resolves IS NOT NULL"),
    ):
        op.create_index(name, table, [column], sqlite_where=sa.text(only), postgresql_where=sa.text(only))
    _keeping_tables()


def _keeping_tables() -> None:
    replicated(
        "handover",
        (
            need("kept_unit_id", "uuid"),
            need("from_node_id", "uuid"),
            need("from_term", "int"),
            need("to_node_id", "uuid"),
            may("forced_seq", "int"),
            may("forced_hash", "bytes", 32),
            need("is_revoked", "int"),
            need("reason", "text", 2000),
            need("author", "text", 200),
            need("ordered_at", "instant"),
        ),
        rules={
            "from_term_rule": "from_term BETWEEN 0 AND 9223372036854775807",
            "forced_seq_rule": "forced_seq BETWEEN 0 AND 4611686018427387904",
            "forced_hash_rule": "length(forced_hash) = 32",
            "is_revoked_rule": "is_revoked IN (0, 1)",
            "forced_whole": "(forced_seq IS NULL) = (forced_hash IS NULL)",
        },
        indexes=(("kept_unit_id",),),
    )
    replicated(
        "reassignment",
        (
            need("from_unit_id", "uuid"),
            need("to_unit_id", "uuid"),
            may("row_ids", "bytes"),
            need("reason", "text", 2000),
            need("author", "text", 200),
            need("ordered_at", "instant"),
        ),
        rules={"row_ids_rule": "length(row_ids) = length(row_ids) / 16 * 16"},
        indexes=(("from_unit_id",),),
    )
    replicated(
        "resolution",
        (
            need("case_id", "uuid"),
            need("decision_id", "uuid"),
            need("case_kind", "text", 40),
            need("verdict", "text", 20),
            may("table_name", "text", 63),
            may("row_id", "uuid"),
            need("detail", "text", 65536),
            need("reason", "text", 2000),
            need("author", "text", 200),
            need("made_at", "instant"),
            need("openings", "int"),
            may("undoes", "uuid"),
        ),
        rules={
            "verdict_rule": "verdict IN ('keep-ours', 'value', 'same-person', 'not-the-same', 'ask-commune', 'answer', "
            "'later', 'undo')",
            "openings_rule": "openings BETWEEN 0 AND 1000000000",
        },
        indexes=(("case_id",), ("undoes",)),
    )
    replicated(
        "notice",
        (
            need("proposal_id", "uuid"),
            need("verdict_id", "uuid"),
            need("outcome", "text", 20),
            need("decided_at", "instant"),
        ),
        rules={"outcome_rule": "outcome IN ('accepted', 'partly', 'rejected', 'review')"},
        indexes=(("proposal_id",), ("verdict_id",)),
    )


def _reference_tables() -> None:
    replicated(
        "unit",
        (
            may("parent_id", "uuid"),
            need("level", "text", 20),
            need("code", "text", 20),
            need("name", "text", 200),
            may("valid_from", "date"),
            may("valid_to", "date"),
        ),
        indexes=(("code",), ("parent_id",)),
        rules={"valid_for_a_time": "valid_to IS NULL OR valid_from IS NULL OR valid_to > valid_from"},
    )
    replicated(
        "unit_change",
        (
            need("old_unit_id", "uuid"),
            need("new_unit_id", "uuid"),
            need("operation", "text", 20),
            may("scope_note", "text", 2000),
            may("decision_no", "text", 100),
            need("effective_on", "date"),
        ),
        rules={"operation_rule": "operation IN ('whole', 'part', 'land')"},
        indexes=(("old_unit_id",), ("new_unit_id",)),
    )
    replicated("code_list", (need("name", "text", 60), need("version", "int"), need("title", "text", 200)))
    replicated(
        "code",
        (need("list_name", "text", 60), need("version", "int"), need("code", "text", 20), need("name", "text", 200)),
        indexes=(("list_name", "code"),),
    )


def _households_and_persons() -> None:
    replicated(
        "household",
        (
            need("number", "text", 10),
            need("kind", "text", 20),
            may("hamlet", "text", 200),
            may("address", "text", 2000),
            may("enumeration_area", "text", 40),
            may("collaborator", "text", 200),
            may("opened_on", "date"),
            may("closed_on", "date"),
        ),
        register=True,
        rules={
            "number_rule": HOUSEHOLD_NUMBER,
            "kind_rule": "kind IN ('family', 'collective')",
            "closed_after_opened": "closed_on IS NULL OR opened_on IS NULL OR closed_on >= opened_on",
        },
        indexes=(("unit_id", "number"),),
    )
    replicated(
        "person",
        (
            may("household_id", "uuid"),
            may("line_no", "int"),
            need("full_name", "text", 200),
            need("sex", "int"),
            need("birth_date", "date"),
            need("birth_precision", "text", 1),
            need("ethnic", "text", 10),
            may("relation", "text", 10),
            may("education", "text", 10),
            may("marital", "text", 10),
            need("residence", "text", 20),
            may("mother_id", "uuid"),
            may("father_id", "uuid"),
            may("citizen_id", "text", 12),
            may("insurance_no", "text", 20),
            may("insurance_until", "date"),
            may("phone", "text", 20),
        ),
        register=True,
        rules={
            "sex_rule": "sex IN (1, 2)",
            "birth_precision_rule": "birth_precision IN ('d', 'm', 'y')",
            "residence_rule": "residence IN ('usual', 'absent', 'temporary', 'departed', 'deceased')",
            "citizen_id_rule": CITIZEN_ID,
        },
        refers=(("household_id", "household"),),
        indexes=(("unit_id",), ("household_id",), ("citizen_id",), ("insurance_no",)),
    )


def _events() -> None:
    replicated(
        "birth",
        (
            may("child_id", "uuid"),
            may("mother_id", "uuid"),
            need("born_on", "date"),
            need("sex", "int"),
            may("parity", "int"),
            may("place", "text", 20),
            may("weight_g", "int"),
        ),
        register=True,
        rules={
            "sex_rule": "sex IN (1, 2)",
            "parity_rule": "parity >= 1",
            "place_rule": "place IN ('station', 'hospital', 'home', 'other')",
            "weight_g_rule": "weight_g BETWEEN 200 AND 9000",
        },
        indexes=(("unit_id",), ("child_id",), ("mother_id",)),
    )
    replicated(
        "death",
        (need("person_id", "uuid"), need("died_on", "date"), may("sex", "int"), may("cause", "text", 200)),
        register=True,
        rules={"sex_rule": "sex IN (1, 2)"},
        indexes=(("unit_id",), ("person_id",)),
    )
    replicated(
        "migration",
        (
            need("person_id", "uuid"),
            need("direction", "text", 10),
            need("moved_on", "date"),
            may("sex", "int"),
            may("other_place", "text", 300),
            may("match_id", "uuid"),
        ),
        register=True,
        rules={"direction_rule": "direction IN ('arrival', 'departure')", "sex_rule": "sex IN (1, 2)"},
        indexes=(("unit_id",), ("person_id",), ("match_id",)),
    )
    replicated(
        "person_check",
        (
            need("person_id", "uuid"),
            need("citizen_id", "text", 12),
            need("checked_at", "instant"),
            need("checked_by", "text", 200),
        ),
        rules={"citizen_id_rule": CITIZEN_ID},
        indexes=(("person_id",),),
    )
    replicated(
        "person_link",
        (
            need("link_id", "uuid"),
            need("person_id", "uuid"),
            need("state", "text", 20),
            need("method", "text", 20),
            need("score", "int"),
            need("decided_by", "text", 200),
            need("decided_at", "instant"),
        ),
        rules={
            "state_rule": "state IN ('linked', 'proposed', 'unlinked')",
            "method_rule": "method IN ('citizen_id', 'insurance_no', 'score', 'person')",
            "score_rule": "score BETWEEN 0 AND 1000",
        },
        indexes=(("link_id",), ("person_id",)),
    )
    replicated(
        "move_match",
        (
            need("match_id", "uuid"),
            need("migration_id", "uuid"),
            need("state", "text", 20),
            need("method", "text", 20),
            need("decided_by", "text", 200),
            need("decided_at", "instant"),
        ),
        rules={
            "state_rule": "state IN ('matched', 'apart')",
            "method_rule": "method IN ('match_id', 'link', 'person')",
        },
        indexes=(("match_id",), ("migration_id",)),
    )


def _log_tables() -> None:
    local("syncd_meta", ("key",), (need("key", "text"), need("value", "text")), sqlite_with_rowid=False)
    local("syncd_applying", ("one",), (need("one", "int"),))
    local(
        "syncd_replacing",
        ("tab",),
        (
            need("tab", "int"),
            need("row_id", "uuid"),
            may("unit_id", "uuid"),
            may("was", "text"),
            need("done", "int", default="0"),
        ),
    )
    local(
        "syncd_keeper",
        ("unit_id",),
        (need("unit_id", "uuid"), need("node_id", "uuid"), need("term", "int"), need("mine", "int")),
        sqlite_with_rowid=False,
    )
    local(
        "syncd_journal",
        ("n",),
        (
            need("n", "serial"),
            need("tx", "int", default="0"),
            need("tab", "int"),
            need("op", "int"),
            need("row_id", "uuid"),
            may("unit_id", "uuid"),
            need("mask", "int", default="0"),
            may("was", "text"),
        ),
    )
    local(
        "syncd_stream",
        ("stream_id",),
        (
            need("stream_id", "uuid"),
            need("kind", "int"),
            may("unit_id", "uuid"),
            need("keeper", "uuid"),
            need("term", "int"),
            need("own", "int"),
            need("held_seq", "int"),
            need("held_hash", "bytes"),
            need("open_from", "int", default="0"),
            need("applied_seq", "int"),
            need("applied_hash", "bytes"),
            need("state", "text"),
            may("reason", "text"),
            may("changed_at", "instant"),
            need("parent_seq", "int", default="0"),
            need("custodian_seq", "int", default="0"),
            need("checkpoint_seq", "int", default="0"),
            need("floor_seq", "int", default="0"),
            need("floor_hash", "bytes"),
            need("ended", "int", default="0"),
            need("backed_up_seq", "int", default="0"),
            need("floor_rows", "int", default="0"),
            need("rejoin_seq", "int", default="0"),
        ),
    )
    op.create_index("ix_syncd_stream_unit_id", "syncd_stream", ["unit_id"])
    op.create_index("ix_syncd_stream_keeper", "syncd_stream", ["keeper"])
    op.create_index("ix_syncd_stream_own", "syncd_stream", ["own"])
    local(
        "syncd_wish",
        ("wish_id",),
        (
            need("wish_id", "uuid"),
            need("stream_id", "uuid"),
            need("place", "int"),
            need("tab", "int"),
            need("row_id", "uuid"),
            need("op", "text"),
            need("seen", "text"),
            need("wished", "text"),
            need("made_ms", "int"),
        ),
    )
    local(
        "syncd_baseline",
        ("stream_id",),
        (
            need("stream_id", "uuid"),
            need("of_id", "uuid"),
            need("at_seq", "int"),
            need("at_hash", "bytes"),
            need("is_whole", "int", default="0"),
        ),
    )
    op.create_index("ix_syncd_baseline_of_id", "syncd_baseline", ["of_id"])
    local(
        "syncd_term",
        ("unit_id", "term"),
        (
            need("unit_id", "uuid"),
            need("term", "int"),
            need("node_id", "uuid"),
            need("began", "text"),
            may("ended_seq", "int"),
            may("ended_hash", "bytes"),
            may("next_node_id", "uuid"),
        ),
    )
    local(
        "syncd_log",
        ("stream_id", "seq"),
        (
            need("stream_id", "uuid"),
            need("seq", "int"),
            need("mark", "int"),
            need("hash", "bytes"),
            need("rows", "int"),
            need("size", "int"),
            need("envelope", "bytes"),
        ),
    )
    local(
        "syncd_checkpoint",
        ("stream_id", "tab", "audience"),
        (
            need("stream_id", "uuid"),
            need("tab", "int"),
            need("audience", "int"),
            need("seq", "int"),
            need("rows_stated", "int"),
            need("digest_stated", "bytes"),
            need("rows_found", "int"),
            need("digest_found", "bytes"),
            need("ok", "int"),
            need("checked_at", "instant"),
        ),
    )


def _work_tables() -> None:
    local(
        "syncd_peer",
        ("node_id",),
        (
            need("node_id", "uuid"),
            need("role", "text"),
            need("name", "text"),
            may("address", "text"),
            may("certificate_sha256", "bytes"),
            may("last_success_at", "instant"),
            may("last_attempt_at", "instant"),
            may("last_error", "text"),
            may("clock_offset_ms", "int"),
            may("waiting", "int"),
            may("cases", "int"),
        ),
    )
    local(
        "syncd_receipt",
        ("stream_id", "level"),
        (
            need("stream_id", "uuid"),
            need("level", "int"),
            need("seq", "int"),
            need("hash", "bytes"),
            need("time_ms", "int"),
            need("receipt", "bytes"),
        ),
    )
    local(
        "syncd_partial",
        ("node_id",),
        (need("node_id", "uuid"), need("stream_id", "uuid"), need("seq", "int"), need("bytes", "bytes")),
    )
    local(
        "syncd_quarantine",
        ("stream_id", "seq", "hash"),
        (
            need("stream_id", "uuid"),
            need("seq", "int"),
            need("hash", "bytes"),
            need("previous", "bytes"),
            need("received_at", "instant"),
            may("adopted_at", "instant"),
            need("envelope", "bytes"),
            need("is_lost_below", "int", default="0"),
        ),
    )
    local(
        "syncd_token",
        ("secret_hash",),
        (
            need("secret_hash", "bytes"),
            need("unit_id", "uuid"),
            need("hub", "int"),
            need("successor", "int", default="0"),
            need("expires_at", "instant"),
            may("used_at", "instant"),
            may("used_by", "uuid"),
        ),
    )
    local(
        "syncd_case",
        ("case_id",),
        (
            need("case_id", "uuid"),
            need("kind", "text"),
            may("stream_id", "uuid"),
            may("unit_id", "uuid"),
            may("tab", "int"),
            may("row_id", "uuid"),
            need("detail", "text"),
            need("opened_at", "instant"),
            may("closed_at", "instant"),
            need("openings", "int", default="1"),
        ),
    )
    op.create_index("ix_syncd_case_closed_at", "syncd_case", ["closed_at"])
    _looking_tables()
    local(
        "syncd_cell_stock",
        ("unit_id", "sex", "month", "ethnic", "residence"),
        (
            need("unit_id", "uuid"),
            need("sex", "int"),
            need("month", "text"),
            need("ethnic", "text"),
            need("residence", "text"),
            need("n", "int"),
        ),
        sqlite_with_rowid=False,
    )
    local(
        "syncd_cell_flow",
        ("unit_id", "month", "kind", "sex"),
        (need("unit_id", "uuid"), need("month", "text"), need("kind", "text"), need("sex", "int"), need("n", "int")),
        sqlite_with_rowid=False,
    )


def _looking_tables() -> None:
    local(
        "syncd_case_row",
        ("case_id", "row_id"),
        (need("case_id", "uuid"), need("row_id", "uuid"), need("tab", "int"), may("unit_id", "uuid")),
    )
    op.create_index("ix_syncd_case_row_row_id", "syncd_case_row", ["row_id"])
    local(
        "syncd_looked",
        ("stream_id",),
        (
            need("stream_id", "uuid"),
            need("seq", "int"),
            need("place", "text"),
            need("row_tab", "int", default="0"),
            may("row_id", "uuid"),
        ),
    )
    local("syncd_agenda", ("tab", "row_id"), (need("tab", "int"), need("row_id", "uuid"), need("due_at", "instant")))
    op.create_index("ix_syncd_agenda_due_at", "syncd_agenda", ["due_at"])


def _identity_tables() -> None:
    local("syncd_identity_person", ("person_id",), (need("person_id", "uuid"), need("keys", "bytes")))
    local(
        "syncd_identity_key",
        ("key", "person_id"),
        (need("key", "int"), need("person_id", "uuid")),
        sqlite_with_rowid=False,
    )
    local("syncd_identity_part", ("part",), (need("part", "text"), need("n", "int")), sqlite_with_rowid=False)
    local("syncd_identity_due", ("person_id",), (need("person_id", "uuid"),), sqlite_with_rowid=False)
