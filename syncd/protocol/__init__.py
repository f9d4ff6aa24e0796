"""PROTOCOL.md as code: bytes ↔ data; no database, no clock."""
