"""Errors of this package.

    ConflictError (a ValueError)
    ├── ProposalError   a proposal that cannot be decided because it is malformed
    ├── RulesError      rules that contradict themselves
    └── DetailError     a stored verdict detail that cannot be read

Each says what happened and what to do. None carries a value of a row: column names only, because error texts
reach logs and a citizen's field must not (domain.md §6).
"""


class ConflictError(ValueError):
    """What happened in `what`, what to do about it in `hint`."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


class ProposalError(ConflictError):
    """The proposal is malformed: no decision about it would mean anything."""


class RulesError(ConflictError):
    """The rules beside the columns contradict each other."""


class DetailError(ConflictError):
    """The text is not a verdict's detail."""
