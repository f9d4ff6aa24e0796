"""Alembic's environment: runs migrations on the connection that `schema/install.py` hands over.

Enters: `config.attributes` with connection, dialect and identity. Leaves: the upgraded schema, uncommitted.
Must hold: the caller owns the transaction, so a failed migration leaves nothing behind.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
