"""The system's own replicated tables: node records, key grants, proposals and verdicts travel by the same streams.

Numbers 1–19 belong to the system, 20 and above to the records (`schema/population.py`).
"""

from __future__ import annotations

from typing import Any

from schema.spec import JSON_CHARS_MAX, Apart, Audience, Column, DataClass, Kind, Partly, Table, Type

KEY_BYTES = 32
HASH_BYTES = 32
SEALED_KEY_BYTES = 80  # an encapsulated key, a key, a tag
EPOCH_MAX = 2**32 - 1
TERM_MAX = 10**15  # far beyond what hand-overs can reach; an order about a later one is nobody's word
INT_MAX = 2**63 - 1
SEQ_MAX = 2**62
MS_MAX = 253_402_300_799_999  # as far as a clock can be off
DEPTH_MAX = 32
OPENINGS_MAX = 10**9


def _within(name: str, least: int, most: int) -> dict[str, Any]:
    """The rule of a number: what both databases hold of it at every node, so that no code meets another."""
    return {
        "check": f"{name} BETWEEN {least} AND {most}",
        "rule_vi": f"từ {least} đến {most}",
        "rule_en": f"between {least} and {most}",
    }


def _exactly(name: str, size: int) -> dict[str, Any]:
    """The rule of a key or a hash."""
    return {
        "bytes_max": size,
        "check": f"length({name}) = {size}",
        "rule_vi": f"đúng {size} byte",
        "rule_en": f"exactly {size} bytes",
    }


NODE = Table(
    number=1,
    name="node",
    kind=Kind.CONTROL,
    title_vi="Máy",
    title_en="Node",
    columns=(
        Column(number=2, name="node_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        Column(number=3, name="parent_id", type=Type.UUID, audience=Audience.PUBLIC),  # NULL: the root
        Column(number=4, name="name", type=Type.TEXT, nullable=False, chars_max=200, audience=Audience.PUBLIC),
        Column(number=5, name="signing_public", type=Type.BYTES, nullable=False,
               audience=Audience.PUBLIC, **_exactly("signing_public", KEY_BYTES)),
        Column(number=6, name="sealing_public", type=Type.BYTES, nullable=False,
               audience=Audience.PUBLIC, **_exactly("sealing_public", KEY_BYTES)),
        # The unit whose register the node keeps (a hub: the unit of its tier), and the term of that keeping.
        Column(number=7, name="home_unit_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        Column(number=8, name="term", type=Type.INT, nullable=False, audience=Audience.PUBLIC,
               **_within("term", 0, TERM_MAX)),
        Column(number=9, name="status", type=Type.TEXT, nullable=False, chars_max=20, audience=Audience.PUBLIC,
               check="status IN ('enrolled', 'revoked')"),
        Column(number=10, name="enrolled_at", type=Type.INSTANT, nullable=False, audience=Audience.PUBLIC),
    ),
)  # fmt: skip

KEY_GRANT = Table(
    number=2,
    name="key_grant",
    kind=Kind.CONTROL,
    title_vi="Cấp khóa",
    title_en="Key grant",
    columns=(
        Column(number=2, name="stream_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        Column(
            number=3,
            name="audience",
            type=Type.INT,
            nullable=False,
            audience=Audience.PUBLIC,
            **_within("audience", 1, 255),
        ),
        Column(
            number=4,
            name="epoch",
            type=Type.INT,
            nullable=False,
            audience=Audience.PUBLIC,
            **_within("epoch", 1, EPOCH_MAX),
        ),
        Column(number=5, name="reader_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        Column(
            number=6,
            name="sealed_key",
            type=Type.BYTES,
            nullable=False,
            audience=Audience.PUBLIC,
            **_exactly("sealed_key", SEALED_KEY_BYTES),
        ),
    ),
    indexes=(("stream_id", "audience", "epoch"),),
)

PROPOSAL = Table(
    number=3,
    name="proposal",
    kind=Kind.OVERSIGHT,
    title_vi="Đề nghị",
    title_en="Proposal",
    columns=(
        Column(number=2, name="table_name", type=Type.TEXT, nullable=False, chars_max=63),
        Column(number=3, name="row_id", type=Type.UUID),  # NULL: an insert
        Column(number=4, name="operation", type=Type.TEXT, nullable=False, chars_max=10,
               check="operation IN ('insert', 'update', 'delete')"),
        Column(number=5, name="seen", type=Type.TEXT, nullable=False, chars_max=JSON_CHARS_MAX),  # JSON {column: value}
        Column(number=6, name="wished", type=Type.TEXT, nullable=False, chars_max=JSON_CHARS_MAX),
        Column(number=7, name="author", type=Type.TEXT, nullable=False, chars_max=200),
        Column(number=8, name="reason", type=Type.TEXT, nullable=False, chars_max=2000),
        Column(number=9, name="made_at", type=Type.INSTANT, nullable=False),
        Column(number=10, name="clock_offset_ms", type=Type.INT, **_within("clock_offset_ms", -MS_MAX, MS_MAX)),
        Column(number=11, name="author_depth", type=Type.INT, nullable=False,  # 0 is the root
               **_within("author_depth", 0, DEPTH_MAX)),
        Column(number=12, name="withdrawn_at", type=Type.INSTANT),
        Column(number=13, name="expires_at", type=Type.INSTANT),  # by the reference clock; NULL: never
    ),
    indexes=(("row_id",),),
    partly=(Partly(name="ix_proposal_inserted", columns=("row_id",), only="operation = 'insert'"),),
)  # fmt: skip

VERDICT = Table(
    number=4,
    name="verdict",
    kind=Kind.REGISTER,
    title_vi="Phán quyết",
    title_en="Verdict",
    columns=(
        Column(number=2, name="proposal_id", type=Type.UUID, nullable=False),
        Column(number=3, name="outcome", type=Type.TEXT, nullable=False, chars_max=20,
               check="outcome IN ('accepted', 'partly', 'rejected', 'review', 'referred')"),
        Column(number=4, name="row_id", type=Type.UUID),
        Column(number=5, name="detail", type=Type.TEXT, nullable=False, chars_max=JSON_CHARS_MAX),  # per column, JSON
        Column(number=6, name="case_kind", type=Type.TEXT, chars_max=40),
        Column(number=7, name="decided_at", type=Type.INSTANT, nullable=False),
        Column(number=8, name="decided_by", type=Type.TEXT, nullable=False, chars_max=200),
        # A later word about an earlier verdict, of a person, or where the row is that a wish was referred to: that
        # verdict's id. The verdict that stands is the one nobody resolves.
        Column(number=9, name="resolves", type=Type.UUID),
    ),
    indexes=(("proposal_id",),),
    partly=(
        Partly(name="ix_verdict_referred", columns=("proposal_id",), only="outcome = 'referred'"),
        Partly(name="ix_verdict_resolves", columns=("resolves",), only="resolves IS NOT NULL"),
    ),
    apart=(Apart(column="resolves", other="id"),),
)  # fmt: skip

HANDOVER = Table(
    number=5,
    name="handover",
    kind=Kind.CONTROL,
    title_vi="Bàn giao",
    title_en="Hand-over",
    columns=(
        # The unit whose register passes from a keeper to the next, whose term is one more.
        Column(number=2, name="kept_unit_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        Column(number=3, name="from_node_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        Column(number=4, name="from_term", type=Type.INT, nullable=False, audience=Audience.PUBLIC,
               **_within("from_term", 0, INT_MAX)),
        Column(number=5, name="to_node_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        # Forced, by the custodian alone: where the old stream ends, whatever its keeper has written since.
        Column(number=6, name="forced_seq", type=Type.INT, audience=Audience.PUBLIC,
               **_within("forced_seq", 0, SEQ_MAX)),
        Column(number=7, name="forced_hash", type=Type.BYTES, audience=Audience.PUBLIC,
               **_exactly("forced_hash", HASH_BYTES)),
        # 1: the old keeper's machine is lost or stolen; nothing of it is believed any more.
        Column(number=8, name="is_revoked", type=Type.INT, nullable=False, audience=Audience.PUBLIC,
               check="is_revoked IN (0, 1)"),
        Column(number=9, name="reason", type=Type.TEXT, nullable=False, chars_max=2000, audience=Audience.PUBLIC),
        Column(number=10, name="author", type=Type.TEXT, nullable=False, chars_max=200, audience=Audience.PUBLIC),
        Column(number=11, name="ordered_at", type=Type.INSTANT, nullable=False, audience=Audience.PUBLIC),
    ),
    indexes=(("kept_unit_id",),),
    checks=(("forced_whole", "(forced_seq IS NULL) = (forced_hash IS NULL)"),),
    apart=(Apart(column="to_node_id", other="from_node_id", unless=("from_term", 0)),),  # 0: nobody has kept it before
)  # fmt: skip

# The rows of one unit that shall pass to another unit of the same keeper: whole households, with all that refers to
# them. The keeper carries it out, as one change of both streams.
REASSIGNMENT = Table(
    number=6,
    name="reassignment",
    kind=Kind.CONTROL,
    title_vi="Chuyển hộ sang đơn vị khác",
    title_en="Households that pass to another unit",
    columns=(
        Column(number=2, name="from_unit_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        Column(number=3, name="to_unit_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        # 16 bytes per row id, sorted; NULL: every row of the unit.
        Column(number=4, name="row_ids", type=Type.BYTES, audience=Audience.PUBLIC,
               check="length(row_ids) = length(row_ids) / 16 * 16", rule_vi="16 byte cho mỗi bản ghi",
               rule_en="16 bytes per row"),
        Column(number=5, name="reason", type=Type.TEXT, nullable=False, chars_max=2000, audience=Audience.PUBLIC),
        Column(number=6, name="author", type=Type.TEXT, nullable=False, chars_max=200, audience=Audience.PUBLIC),
        Column(number=7, name="ordered_at", type=Type.INSTANT, nullable=False, audience=Audience.PUBLIC),
    ),
    indexes=(("from_unit_id",),),
    apart=(Apart(column="to_unit_id", other="from_unit_id"),),
)  # fmt: skip

# What a person decided about a case: one row per unit concerned, so that each sees its own side only. Nothing is ever
# changed or deleted here: a later row, or one that undoes, takes the place of an earlier one.
RESOLUTION = Table(
    number=7,
    name="resolution",
    kind=Kind.OVERSIGHT,
    title_vi="Cách giải quyết vụ việc",
    title_en="Resolution of a case",
    columns=(
        Column(number=2, name="case_id", type=Type.UUID, nullable=False),
        Column(number=3, name="decision_id", type=Type.UUID, nullable=False),  # the same in the rows of all sides
        Column(number=4, name="case_kind", type=Type.TEXT, nullable=False, chars_max=40),
        Column(number=5, name="verdict", type=Type.TEXT, nullable=False, chars_max=20,
               check="verdict IN ('keep-ours', 'value', 'same-person', 'not-the-same', 'ask-commune', 'answer', "
               "'later', 'undo')"),
        Column(number=6, name="table_name", type=Type.TEXT, chars_max=63),
        Column(number=7, name="row_id", type=Type.UUID),  # this side's row
        # JSON: what was written or proposed, with the values before; of this side's row alone.
        Column(number=8, name="detail", type=Type.TEXT, nullable=False, chars_max=JSON_CHARS_MAX,
               data_class=DataClass.BASIC),
        Column(number=9, name="reason", type=Type.TEXT, nullable=False, chars_max=2000),
        Column(number=10, name="author", type=Type.TEXT, nullable=False, chars_max=200),
        Column(number=11, name="made_at", type=Type.INSTANT, nullable=False),
        # How often the case had opened: a case that opens again after its cause was gone is a new question.
        Column(number=12, name="openings", type=Type.INT, nullable=False, **_within("openings", 0, OPENINGS_MAX)),
        Column(number=13, name="undoes", type=Type.UUID),  # a decision_id
    ),
    indexes=(("case_id",), ("undoes",)),
    apart=(Apart(column="undoes", other="decision_id"),),
)  # fmt: skip

# What became of a proposal, for an author to whom the verdict does not come: its unit passed on to a node that is
# neither at nor below the author's. Written by the lowest node above both. It tells no value: those are the keeper's.
NOTICE = Table(
    number=8,
    name="notice",
    kind=Kind.CONTROL,
    title_vi="Báo tin",
    title_en="Notice",
    columns=(
        Column(number=2, name="proposal_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        Column(number=3, name="verdict_id", type=Type.UUID, nullable=False, audience=Audience.PUBLIC),
        Column(number=4, name="outcome", type=Type.TEXT, nullable=False, chars_max=20, audience=Audience.PUBLIC,
               check="outcome IN ('accepted', 'partly', 'rejected', 'review')"),
        Column(number=5, name="decided_at", type=Type.INSTANT, nullable=False, audience=Audience.PUBLIC),
    ),
    indexes=(("proposal_id",), ("verdict_id",)),
)  # fmt: skip

SYSTEM_TABLES = (NODE, KEY_GRANT, PROPOSAL, VERDICT, HANDOVER, REASSIGNMENT, RESOLUTION, NOTICE)
