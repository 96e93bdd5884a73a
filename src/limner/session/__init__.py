"""What the command line, the studio and a notebook hold: models by name, verbs, records."""

from limner.session.candidates import MaskCandidates
from limner.session.generated import Generated
from limner.session.labelling.result import Labelled
from limner.session.results import Finding, FindOptions, Run, Source
from limner.session.session import Session
from limner.session.trials import Compared, Evaluated, Swept

__all__ = [
    "Compared",
    "Evaluated",
    "FindOptions",
    "Finding",
    "Generated",
    "Labelled",
    "MaskCandidates",
    "Run",
    "Session",
    "Source",
    "Swept",
]
