"""How disagreements are settled: the three-way decision, its policies, the kinds of case, and name matching.

Pure and made of the standard library only: no clock, no randomness, no database, no network. What enters is a
proposal and what is kept; what leaves is a verdict. The same inputs give the same verdict on every machine, which
is what lets a keeper decide once and everybody else replay the verdict.

Import from the files: `conflict.decide.decide` over `conflict.proposal.Proposal` gives a `conflict.verdict.Verdict`;
`conflict.case` names what people settle, `conflict.match` compares names. A command that needs one pays for one.
"""
