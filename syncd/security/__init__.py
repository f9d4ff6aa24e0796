"""Who a node is and how it proves it: keys, certificates, tokens, enrolment. Pure functions and files; no database,
no network.
"""
