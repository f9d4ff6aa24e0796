"""How disagreements are settled: the three-way decision, its policies, the kinds of case, and name matching.

Pure and made of the standard library only: no clock, no randomness, no database, no network. What enters is a
proposal and what is kept; what leaves is a verdict. The same inputs give the same verdict on every machine, which
is what lets a keeper decide once and everybody else replay the verdict.

    from conflict import Kept, Policy, Proposal, Rules, decide
"""

from conflict.case import Addressee, CaseKind, case_id
from conflict.decide import decide
from conflict.errors import ConflictError, DetailError, ProposalError, RulesError
from conflict.match import MatchColumns, normalise_name, resembles
from conflict.policy import Policy, Rules
from conflict.proposal import Kept, Newer, Proposal, Value
from conflict.verdict import ColumnVerdict, Verdict, Why, from_json, to_json

__all__ = [
    "Addressee",
    "CaseKind",
    "ColumnVerdict",
    "ConflictError",
    "DetailError",
    "Kept",
    "MatchColumns",
    "Newer",
    "Policy",
    "Proposal",
    "ProposalError",
    "Rules",
    "RulesError",
    "Value",
    "Verdict",
    "Why",
    "case_id",
    "decide",
    "from_json",
    "normalise_name",
    "resembles",
    "to_json",
]
