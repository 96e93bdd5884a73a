"""What the minis can do, measured on the files that ship, on drawings they were never shown.

``bars.py`` is the table of what is asked, ``samples.py`` what it is asked of. Each other file
measures one model through limner's own adapters and returns numbers by the names of ``bars.py``;
``record.py`` keeps them. ``python -m minis.check`` runs it all.
"""
