"""One node: opened from its directory, what it replicates besides the records of the release, its duties kept apart."""
