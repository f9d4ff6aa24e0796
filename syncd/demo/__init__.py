"""`syncd demo`: a province, two districts and six communes as real daemons on this machine, shown step by step.

run.py     the order of the steps, cleaning up, the exit code
tree.py    nodes, their processes, bounded waits
line.py    the line between one district and the province, which can be cut
steps.py   load, edits, the cut
wishes.py  proposals, disagreements, a check of the province
proof.py   the end: every row of every node proven
story.py   what is printed
"""
