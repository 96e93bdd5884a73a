"""What the command line, the studio and a notebook hold: models by name, verbs, records."""

from limner.session.session import Finding, Run, Session, Source

__all__ = ["Finding", "Run", "Session", "Source"]
