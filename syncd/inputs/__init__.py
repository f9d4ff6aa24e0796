"""What enters the register from outside and what leaves it as figures: units, code lists, persons, generated data.

Enters: files an operator gives, a store or an open transaction. Leaves: rows written as any client writes them
(guarded and captured), and frozen results with their problems.
Must hold: nothing here prints, knows the command line or the wire.
"""
