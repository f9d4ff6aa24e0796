"""Finding rows that are one person, at the lowest node above both units (design §5). Links are rows, never deletions.

    index.index_all(store)              all blocking keys anew; the index is whole once all are matched
    index.update(tx, changed_ids)       after each applied group: keys of the persons it changed; they are due
    match.match_new(...)                match those that are due
    match.match_all(...)                match everybody
    links.unlink(...), links.confirm(...), links.link(...), links.part(...)    what a person decided

`match` imports rapidfuzz: whoever calls it imports it when there is something to match.
"""
