"""What was done, so that it can be explained, compared and done again."""

from limner.runs.record import Job, RunRecord

__all__ = ["Job", "RunRecord"]
