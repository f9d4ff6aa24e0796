"""The node's own tables (`syncd_…`): journal, log, positions, receipts, cases, aggregate cells. Never replicated.

Enters: nothing. Leaves: neutral descriptions that `schema/metadata.py` turns into SQLAlchemy tables.
Must hold: no SQLAlchemy here; every table a stage writes is written by the daemon's own role only.
"""

from __future__ import annotations

from dataclasses import dataclass

from schema.spec import Type


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalColumn:
    name: str
    type: Type
    nullable: bool = False
    default: str | None = None  # SQL


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTable:
    name: str
    columns: tuple[LocalColumn, ...]
    key: tuple[str, ...]
    # The single key column is numbered by the database. SQLite: above every number present, so numbers may return once
    # all rows are gone; AUTOINCREMENT would cost one more page per commit (35 of 190 µs) and nothing needs it.
    serial: bool = False
    indexes: tuple[tuple[str, ...], ...] = ()


def _c(name: str, kind: Type, *, null: bool = False, default: str | None = None) -> LocalColumn:
    return LocalColumn(name=name, type=kind, nullable=null, default=default)


I, T, U, X, D = Type.INT, Type.TEXT, Type.UUID, Type.BYTES, Type.INSTANT  # noqa: E741 -- a table reads best in columns

LOCAL_TABLES = (
    # Facts about this node: node_id, tag, unit_id, name, root_id, parent_id, depth, schema_revision, applying_role …
    LocalTable(name="syncd_meta", key=("key",), columns=(_c("key", T), _c("value", T))),
    # Present only inside a transaction that applies (SQLite): triggers neither guard nor capture while a row is here.
    LocalTable(name="syncd_applying", key=("one",), columns=(_c("one", I),)),
    # SQLite: the row an INSERT may be about to replace. INSERT OR REPLACE fires no DELETE trigger on connections
    # without recursive_triggers; the AFTER INSERT trigger finds the old row here. One row per table at most.
    LocalTable(name="syncd_replacing", key=("tab",),
               columns=(_c("tab", I), _c("row_id", U), _c("unit_id", U, null=True), _c("was", T, null=True),
                        _c("done", I, default="0"))),
    # Who keeps which unit's register at which term, derived from node records.
    LocalTable(name="syncd_keeper", key=("unit_id",),
               columns=(_c("unit_id", U), _c("node_id", U), _c("term", I), _c("mine", I))),
    # Changes not yet sequenced. tx: PostgreSQL's transaction id as a number, 0 on SQLite.
    LocalTable(name="syncd_journal", key=("n",), serial=True,
               columns=(_c("n", I), _c("tx", I, default="0"), _c("tab", I), _c("op", I), _c("row_id", U),
                        _c("unit_id", U, null=True), _c("mask", I, default="0"), _c("was", T, null=True))),
    # Every stream this node keeps or originates. `held` is the last envelope in the log, `applied` the last whose
    # effect is in the tables (a closed group). open_from: seq of the first piece of the open group at the head, or 0.
    LocalTable(name="syncd_stream", key=("stream_id",),
               columns=(_c("stream_id", U), _c("kind", I), _c("unit_id", U, null=True), _c("keeper", U), _c("term", I),
                        _c("own", I), _c("held_seq", I), _c("held_hash", X), _c("open_from", I, default="0"),
                        _c("applied_seq", I), _c("applied_hash", X),
                        _c("state", T), _c("reason", T, null=True), _c("changed_at", D, null=True),
                        _c("parent_seq", I, default="0"), _c("custodian_seq", I, default="0"),
                        _c("checkpoint_seq", I, default="0"),
                        # The log begins behind this position: what came before was pruned or came as a baseline.
                        _c("floor_seq", I, default="0"), _c("floor_hash", X), _c("ended", I, default="0"),
                        # In the custodian's last verified backup up to here. floor_rows: changed rows that were pruned.
                        _c("backed_up_seq", I, default="0"), _c("floor_rows", I, default="0"),
                        # An own stream of which neighbours hold more, up to here at least: taken back before any is
                        # sealed (0: it is not).
                        _c("rejoin_seq", I, default="0")),
               # What a child may see is looked for by its units and by who writes, not among all streams of a province.
               # Its own are few; every stage asks for them.
               indexes=(("unit_id",), ("keeper",), ("own",))),
    # What this node wrote on a branch that is not the stream's, until it has become proposals: per row the values on
    # the common past and those wished, as JSON. place: the order of effect; made_ms: when it was set aside.
    LocalTable(name="syncd_wish", key=("wish_id",),
               columns=(_c("wish_id", U), _c("stream_id", U), _c("place", I), _c("tab", I), _c("row_id", U),
                        _c("op", T), _c("seen", T), _c("wished", T), _c("made_ms", I))),
    # Baselines held here: which stream each is the content of, at which position; is_whole once its end is held.
    LocalTable(name="syncd_baseline", key=("stream_id",),
               columns=(_c("stream_id", U), _c("of_id", U), _c("at_seq", I), _c("at_hash", X),
                        _c("is_whole", I, default="0")), indexes=(("of_id",),)),
    # Who kept each unit's register in each term, and where it ended; derived from node records and hand-overs.
    # ended_seq NULL: not known to have ended. source: how the term began ('record', 'handover', 'forced').
    LocalTable(name="syncd_term", key=("unit_id", "term"),
               columns=(_c("unit_id", U), _c("term", I), _c("node_id", U), _c("began", T),
                        _c("ended_seq", I, null=True), _c("ended_hash", X, null=True),
                        _c("next_node_id", U, null=True))),
    LocalTable(name="syncd_log", key=("stream_id", "seq"),
               columns=(_c("stream_id", U), _c("seq", I), _c("mark", I), _c("hash", X), _c("rows", I),
                        _c("size", I), _c("envelope", X))),
    # What a checkpoint stated and what was found here; ok 1 equal, 0 different.
    LocalTable(name="syncd_checkpoint", key=("stream_id", "tab", "audience"),
               columns=(_c("stream_id", U), _c("tab", I), _c("audience", I), _c("seq", I), _c("rows_stated", I),
                        _c("digest_stated", X), _c("rows_found", I), _c("digest_found", X), _c("ok", I),
                        _c("checked_at", D))),
    # Neighbours in the tree (parent and children) and what the last exchanges did. Times are of successes unless named.
    LocalTable(name="syncd_peer", key=("node_id",),
               columns=(_c("node_id", U), _c("role", T), _c("name", T), _c("address", T, null=True),
                        _c("certificate_sha256", X, null=True), _c("last_success_at", D, null=True),
                        _c("last_attempt_at", D, null=True), _c("last_error", T, null=True),
                        _c("clock_offset_ms", I, null=True), _c("waiting", I, null=True), _c("cases", I, null=True))),
    # Newest receipt per stream and level (1 applied, 2 backed up), signed by the custodian at `time_ms` of its clock.
    LocalTable(name="syncd_receipt", key=("stream_id", "level"),
               columns=(_c("stream_id", U), _c("level", I), _c("seq", I), _c("hash", X), _c("time_ms", I),
                        _c("receipt", X))),
    # The unfinished envelope of an interrupted transfer, per sender.
    LocalTable(name="syncd_partial", key=("node_id",),
               columns=(_c("node_id", U), _c("stream_id", U), _c("seq", I), _c("bytes", X))),
    # Envelopes written after their keeper's term had ended: not applied, made into proposals when a person says so. A
    # keeper that was restored may have written several branches of them. `is_lost_below`: the node where that person
    # would be asked does not hold them, so it is this one.
    LocalTable(name="syncd_quarantine", key=("stream_id", "seq", "hash"),
               columns=(_c("stream_id", U), _c("seq", I), _c("hash", X), _c("previous", X), _c("received_at", D),
                        _c("adopted_at", D, null=True), _c("envelope", X), _c("is_lost_below", I, default="0"))),
    # One-time tokens issued here; only the hash of the secret is kept.
    LocalTable(name="syncd_token", key=("secret_hash",),
               columns=(_c("secret_hash", X), _c("unit_id", U), _c("hub", I),
                        _c("successor", I, default="0"), _c("expires_at", D),
                        _c("used_at", D, null=True), _c("used_by", U, null=True))),
    # Disagreements and alarms found here (proposals under review are read from verdicts, not stored twice).
    LocalTable(name="syncd_case", key=("case_id",),
               columns=(_c("case_id", U), _c("kind", T), _c("stream_id", U, null=True), _c("unit_id", U, null=True),
                        _c("tab", I, null=True), _c("row_id", U, null=True), _c("detail", T), _c("opened_at", D),
                        _c("closed_at", D, null=True), _c("openings", I, default="1")),
               indexes=(("closed_at",),)),
    # The rows a case is about; a row it misses has no unit.
    LocalTable(name="syncd_case_row", key=("case_id", "row_id"),
               columns=(_c("case_id", U), _c("row_id", U), _c("tab", I), _c("unit_id", U, null=True)),
               indexes=(("row_id",),)),
    # How far each stream was looked through for disagreements. place: whom its keeper stands below; row_tab, row_id:
    # where looking through a whole unit has come to (row_tab 0: not under way).
    LocalTable(name="syncd_looked", key=("stream_id",),
               columns=(_c("stream_id", U), _c("seq", I), _c("place", T), _c("row_tab", I, default="0"),
                        _c("row_id", U, null=True))),
    # Rows to be looked at again when their time has come: a term that runs out, a reference that may still arrive.
    LocalTable(name="syncd_agenda", key=("tab", "row_id"), columns=(_c("tab", I), _c("row_id", U), _c("due_at", D)),
               indexes=(("due_at",),)),
    # Population stock. month: 'YYYY-MM' of birth, so the single age at any month's end follows exactly.
    LocalTable(name="syncd_cell_stock", key=("unit_id", "sex", "month", "ethnic", "residence"),
               columns=(_c("unit_id", U), _c("sex", I), _c("month", T), _c("ethnic", T), _c("residence", T),
                        _c("n", I))),
    # Monthly flows. kind: birth, death, arrival, departure; sex 0 when the record does not say.
    LocalTable(name="syncd_cell_flow", key=("unit_id", "month", "kind", "sex"),
               columns=(_c("unit_id", U), _c("month", T), _c("kind", T), _c("sex", I), _c("n", I))),
    # Finding rows that are one person (syncd/identity). Which persons are indexed, and under which keys (8 bytes each).
    LocalTable(name="syncd_identity_person", key=("person_id",), columns=(_c("person_id", U), _c("keys", X))),
    # Blocking keys: a kind and a hash in one number; persons who share one are compared.
    LocalTable(name="syncd_identity_key", key=("key", "person_id"), columns=(_c("key", I), _c("person_id", U))),
    # How many of the indexed persons bear a family, middle or given name: a rare name tells more.
    LocalTable(name="syncd_identity_part", key=("part",), columns=(_c("part", T), _c("n", I))),
    # Persons who changed since they were last matched.
    LocalTable(name="syncd_identity_due", key=("person_id",), columns=(_c("person_id", U),)),
)  # fmt: skip
