"""What a person decides about disagreements, and taking it back (design §5).

verbs.py      which verdicts a kind of disagreement admits
standing.py   which verdicts and resolutions stand, counted for the screens
desk.py       who may decide here; writing and proposing on a person's word
keeper.py     reviews: a further verdict of the unit's keeper
cases.py      cases: links, matches, corrections, questions; one row of `resolution` per unit concerned
undo.py       the state before, by a further row
resolve.py    the way in
"""
