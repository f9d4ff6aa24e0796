"""What `verify --full` says of a keeper's own content: compared with what its log tells, not with itself (design §6).

Enters: proofs from checkpoints, in the snapshot they were made in. Leaves: the same with what the logs say, and with
the rows that differ. Must hold: a keeper's checkpoint is a digest of its own tables, so it proves nothing about them;
nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from syncd import limits, log
from syncd.errors import EnvelopeError, StoreError
from syncd.prove import DIFFERS, OPEN, StreamProof, TableProof
from syncd.recovery.contents import TableDifference, differences, may_judge, own_streams
from syncd.store.base import Tx

if TYPE_CHECKING:
    from syncd.pipeline import Node


def against_logs(tx: Tx, node: Node, proofs: Sequence[StreamProof]) -> list[StreamProof]:
    """Own streams are compared with their logs; of others that differ the rows are named."""
    own = {at.stream_id for at in own_streams(tx)}
    return [
        _named(tx, node, proof) if proof.stream_id in own or (proof.state == DIFFERS and not proof.own) else proof
        for proof in proofs
    ]


def _named(tx: Tx, node: Node, proof: StreamProof) -> StreamProof:
    at = log.stream(tx, proof.stream_id)
    if at is None or not may_judge(tx, at):
        return proof
    try:
        found = differences(tx, node.applier, at)
    except (EnvelopeError, StoreError) as error:
        return replace(proof, state=OPEN if proof.own else proof.state, reason=error.english)
    if not found:
        return proof
    rows = tuple(f"{each.table.name} {row_id}" for each in found for row_id in each.ids[: limits.ROWS_NAMED_MAX])
    tables = (*proof.tables, *map(_as_proof, found)) if proof.own else proof.tables
    return replace(proof, state=DIFFERS, tables=tables, rows=rows, reason="")


def _as_proof(found: TableDifference) -> TableProof:
    return TableProof(
        table=found.table.name, audience="log", rows_stated=found.told, rows_found=found.here, equal=False
    )  # fmt: skip
