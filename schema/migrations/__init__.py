"""Alembic's migrations of the schema, one file per revision."""
