"""How a store of an older version becomes one of the newest: alembic scripts, run by ``database``.

A new version is a file in ``versions``, a row of ``entries.VERSIONS``, and the tables of ``schema``
changed alike.
"""
