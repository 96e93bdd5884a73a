"""What a verb is asked, before a picture is opened: its arguments, and the job that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limner.pipeline import separate_prompts
from limner.prompts import VisualPrompt
from limner.runs.record import Job
from limner.session.model_slots import Models
from limner.session.plan import slots_of
from limner.session.results import NOTHING, FindOptions, Outcome, Run, Source, make_job, make_run
from limner.verbs import VERBS


@dataclass(frozen=True)
class Request:
    """One call of a verb: what it was given besides the image, and the job that this makes, which
    says whether a result on disk already answers it."""

    prompts: tuple[VisualPrompt, ...]
    finding: FindOptions
    settings: Mapping[str, Any]
    """Its further arguments by name, without progress and those that ask for nothing."""
    job: Job

    def setting(self, name: str, default: Any = None) -> Any:
        """One of the verb's own arguments; ``default`` where it wasn't given."""
        return self.settings.get(name, default)


def make_request(
    models: Models,
    verb: str,
    prompts: Sequence[VisualPrompt],
    finding: FindOptions | None,
    settings: Mapping[str, Any],
) -> Request:
    """A request with its job; settings that ask for nothing are no part of it.

    Args:
        settings: the verb's own keyword arguments, without progress.
    """
    given = {name: value for name, value in settings.items() if value not in NOTHING}
    prompts, finding = tuple(prompts), finding or FindOptions()
    alone = separate_prompts(prompts) if VERBS[verb].looks_again else prompts
    identities = models.identities(slots_of(models, verb, alone, given))
    job = make_job(verb, alone, finding, _in_record_order(verb, given), identities)
    return Request(prompts, finding, given, job)


def _in_record_order(verb: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where there are prompts, a record lists what is painted after all else."""
    row = VERBS[verb]
    if not row.prompts or row.paints not in settings:
        return settings
    others = {name: value for name, value in settings.items() if name != row.paints}
    return others | {row.paints: settings[row.paints]}


def run_of(models: Models, request: Request, source: Source, outcome: Outcome) -> Run:
    """A request's run, with the models that answered."""
    return make_run(request.job, source, outcome, models.refs(outcome.slots))
