"""syncd carries the rows of each unit's register from the node that keeps them to every node that may read them."""

__version__ = "0.1.0"
