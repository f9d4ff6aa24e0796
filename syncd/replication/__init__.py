"""The flow from journal to log, and from a neighbour's log to tables: its smaller parts."""
