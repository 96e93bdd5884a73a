"""What the command line, the studio and a notebook hold: models by name, verbs, records."""

from limner.session.session import Session
from limner.session.values import Finding, Run, Source

__all__ = ["Finding", "Run", "Session", "Source"]
