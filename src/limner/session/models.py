"""Names become models, loaded on first use and kept under a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from limner.errors import LicenceRefused, LimnerError, ModelError, OptionError, UnknownModel
from limner.models import catalog, endpoints, runtime, store
from limner.models.source import Runtime, Weights, is_path
from limner.models.subjects import TEACHABLE, adapter_of
from limner.prompts import PromptKind
from limner.protocols import (
    Captioner,
    Detector,
    Encoder,
    Inpainter,
    Model,
    ModelRef,
    Segmenter,
    Talkative,
)

Say = Callable[[str], None]
ModelT = TypeVar("ModelT", bound=Model)

TASKS = ("detect", "segment", "inpaint", "encode", "caption")

MINI_ANSWERS = (
    "{name} is a mini: the models that ship with limner are tiny and were trained on composed "
    "scenes of drawn things, so on a photograph expect little of them."
)
"""Said once a session, when the first mini is loaded."""


class Models:
    """The models of one session: a name for each task, loaded when first needed.

    Args: see ``Session``.
    """

    def __init__(
        self,
        profile: str,
        overrides: Mapping[str, str],
        *,
        commercial_safe: bool,
        device: str | None,
        dtype: str | None,
        memory_budget: int | None,
        say: Say,
        subjects: Mapping[str, float] | None = None,
    ) -> None:
        unknown = sorted(set(overrides) - set(TASKS))
        if unknown:
            raise OptionError(f"models has the keys {', '.join(TASKS)}; got {', '.join(unknown)}.")
        runtime.check_names(device, dtype)
        self.profile = profile
        self.names: dict[str, str] = {**catalog.profile(profile), **overrides}
        self.answered: dict[str, ModelRef] = {}
        """Models used so far, by name."""
        self._commercial_safe = commercial_safe
        self._device, self._dtype = device, dtype
        self._say = say
        self.subjects = dict(subjects or {})
        """Taught subjects that the painter is to know, and how much."""
        self._adapters = tuple(adapter_of(name, much) for name, much in self.subjects.items())
        self._pool = runtime.ModelPool(memory_budget)
        self._runtime: Runtime | None = None
        self._weights: dict[str, Weights] = {}
        self._minis: set[str] = set()
        """Names of the chosen models that ship with limner."""
        self._mini_said = False

    def entry(self, task: str) -> catalog.Entry | None:
        """The catalog's entry for the model that would answer; None for a local folder.

        Raises:
            UnknownModel: no such name, or the profile has no model for the task.
            ModelError: a model of another task.
            LicenceRefused: the session is commercial-safe and the licence isn't, or is a local
                folder's, which nobody knows.
        """
        name = self.names.get(task)
        if name is None:
            others = self.profiles_able((), task)
            raise UnknownModel(
                f"The profile {self.profile} has no model to {task}; "
                + (f"take {others}, or " if others else "")
                + f"name one of {', '.join(catalog.names(task))}."
            )
        if is_path(name):
            if self._commercial_safe:
                raise LicenceRefused(
                    f"--commercial-safe refuses {name}: the licence of a local folder is unknown. "
                    f"To {task} without such limits: {', '.join(catalog.commercial(task))}."
                )
            return None
        entry, note = catalog.resolve(name)
        if note:
            self._say(note)
        if self._commercial_safe:
            catalog.require_commercial(entry)
        if task not in entry.tasks:
            raise ModelError(
                f"{entry.name} is a model to {entry.purpose}, and one to {task} is needed: "
                f"{', '.join(catalog.names(task))}."
            )
        return entry

    def weights(self, task: str) -> Weights:
        """Which files answer ``task``; nothing is loaded.

        Raises:
            WeightsMissing, UnsafeWeights, and what ``entry`` raises.
        """
        name = self.names.get(task, "")
        if name not in self._weights:
            entry = self.entry(task)
            self._weights[name] = store.find(entry.name) if entry else store.from_folder(name)
            if entry and entry.shipped:
                self._minis.add(name)
        found = self._weights[name]
        return self._with_subjects(found) if task == "inpaint" and self._adapters else found

    def _with_subjects(self, painter: Weights) -> Weights:
        """The painter's files and those of the subjects it is to know.

        Raises:
            ModelError: a painter that can't be taught.
        """
        if painter.ref.family != TEACHABLE:
            raise ModelError(
                f"{painter.ref.name} can't know a subject: {', '.join(self.subjects)} was taught "
                f"to a diffusion model, so take {self._adapters[0].base or self.painters()}."
            )
        for one in self._adapters:
            if one.base and one.base != painter.ref.name:
                self._say(f"{one.name} was taught to {one.base}, and {painter.ref.name} paints it.")
        files = tuple((f"subjects/{one.name}", one.sha256) for one in self._adapters)
        ref = replace(painter.ref, files=(*painter.ref.files, *files))
        return replace(painter, ref=ref, adapters=self._adapters)

    def identities(self, tasks: Iterable[str] | None = None) -> dict[str, str]:
        """By task, text that changes when another model, other files or numbers would answer.

        The model's name and a digest of its files; for a local folder its path and a digest of its
        files' names, sizes and times. Then the device and the number format, where the session's
        caller chose them and the model obeys. Nothing is loaded, hashed or refused.

        Args:
            tasks: None: all. A task without a model is left out.
        """
        wanted = self.names if tasks is None else tasks
        found = {task: self._identity(self.names[task]) for task in wanted if task in self.names}
        if self._adapters and "inpaint" in found:
            known = " ".join(one.identity for one in self._adapters)
            found["inpaint"] = f"{found['inpaint']} {known}"
        return found

    def _identity(self, name: str) -> str:
        try:
            entry = None if is_path(name) else catalog.resolve(name)[0]
            if entry and entry.family == endpoints.FAMILY:
                return endpoints.identity(entry.name)
            if entry and entry.weightless:  # without torch there is no device to choose
                return entry.name
            known = store.identity(entry) if entry else store.identity_of_folder(name)
        except (LimnerError, OSError, RuntimeError, ValueError):  # said by what uses the model
            known = name
        chosen = (self._device, runtime.DTYPES.get(self._dtype or "", self._dtype))
        return " ".join([known, *(choice for choice in chosen if choice)])

    def able(self, kinds: Iterable[PromptKind], task: str) -> str:
        """A sentence naming the models that do a task and take all these kinds of prompt.

        A commercial-safe session names those that it would not refuse. Empty when there is none.
        """
        kinds = tuple(kinds)
        can = self._able(kinds, task)
        profiles = self.profiles_able(kinds, task)
        if not can:
            return ""
        return f"Models that can: {', '.join(can)}" + (f"; or {profiles}." if profiles else ".")

    def profiles_able(self, kinds: Collection[PromptKind], task: str) -> str:
        """Other profiles than the session's whose model can, as flags; empty when there is none."""
        can, here = self._able(kinds, task), catalog.offline(task)
        flags = [
            f"--profile {name}" + (" (nothing to fetch)" if chosen[task] in here else "")
            for name, chosen in catalog.profiles().items()
            if name != self.profile and chosen.get(task) in can
        ]
        return " or ".join(filter(None, [", ".join(flags[:-1]), *flags[-1:]]))

    def painters(self) -> str:
        """What to take to paint from words."""
        can = [PromptKind.TEXT], "inpaint"
        return self.profiles_able(*can) or f"one of {', '.join(self._able(*can))}"

    def _able(self, kinds: Collection[PromptKind], task: str) -> list[str]:
        return [
            name
            for name in catalog.names(task)
            if all(name in catalog.able(kind, task=task) for kind in kinds)
            and (not self._commercial_safe or name in catalog.commercial(task))
        ]

    # mypy wants a concrete class where a protocol is named (type-abstract); isinstance takes one.

    @property
    def detector(self) -> Detector:
        return self._load("detect", Detector)  # type: ignore[type-abstract]

    @property
    def segmenter(self) -> Segmenter:
        return self._load("segment", Segmenter)  # type: ignore[type-abstract]

    @property
    def inpainter(self) -> Inpainter:
        return self._load("inpaint", Inpainter)  # type: ignore[type-abstract]

    @property
    def encoder(self) -> Encoder:
        return self._load("encode", Encoder)  # type: ignore[type-abstract]

    @property
    def captioner(self) -> Captioner:
        return self._load("caption", Captioner)  # type: ignore[type-abstract]

    def _load(self, task: str, kind: type[ModelT]) -> ModelT:
        weights = self.weights(task)
        model = self._pool.get(weights, self._runtime_for(weights))
        if not isinstance(model, kind):
            raise ModelError(f"{weights.ref.name} ({weights.ref.family}) can't {task}.")
        if isinstance(model, Talkative):
            model.tell(self._say)
        self.answering(task)
        return model

    def answering(self, task: str) -> ModelRef:
        """Which model answers; nothing is loaded, for what it says may be at hand already.

        Raises:
            what ``weights`` raises.
        """
        ref = self.weights(task).ref
        self.answered[task] = ref
        if self.names[task] in self._minis and not self._mini_said:
            self._say(MINI_ANSWERS.format(name=ref.name))
            self._mini_said = True
        return ref

    def _runtime_for(self, weights: Weights) -> Runtime:
        if weights.path is None:  # no weights, no torch
            return Runtime()
        if self._runtime is None:
            runtime.tune_allocator()
            runtime.let_threads_sleep()
            self._runtime = runtime.choose(self._device, self._dtype)
        return self._runtime
