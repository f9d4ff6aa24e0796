"""Classes whose values never change, made thousands at a time.

Enters: a class with annotated fields. Leaves: a dataclass with slots, keyword arguments and a hash.
Must hold: whoever assigns to a field is told by the type checker. At run time nobody looks: a dataclass that is frozen
there takes three times as long to make, a tenth of what a decision costs.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(of: type[T]) -> type[T]:
    """As `dataclass(frozen=True, slots=True, kw_only=True)`, to whoever reads and checks the code."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(of)
