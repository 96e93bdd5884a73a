"""Run by alembic, never imported: applies the scripts on the connection that ``database`` opened.

The transaction is the caller's: a migration is done whole or not at all.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
