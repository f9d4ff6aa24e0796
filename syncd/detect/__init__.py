"""Finding disagreements that no single write shows (design §5), at the lowest node that sees all their sides.

changed.py    which rows changed since the last look: read back from the log, so no crash loses any
records.py    these rows with everything that speaks of the same persons, read as sets
people.py     one number borne twice, rows that are referred to and are not there
events.py     one event recorded twice, rules that rows break together
moves.py      departures and arrivals: which belong together, which have stayed alone for too long
place.py      whose disagreement it is
detector.py   composes them: cases are opened, closed when their cause is gone, and opened again
"""
