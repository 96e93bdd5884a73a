"""Names become models, loaded on first use and kept under a memory budget."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

from limner.errors import (
    LicenceRefused,
    LimnerError,
    ModelError,
    OptionError,
    UnknownModel,
    WeightsMissing,
)
from limner.prompts import Text, VisualPrompt
from limner.protocols import (
    Captioner,
    Detector,
    Encoder,
    Inpainter,
    Matting,
    Model,
    ModelRef,
    Notifies,
    Say,
    Segmenter,
    TextToImage,
)
from limner.registry import catalog, endpoints, face_choice, matting_choice, pool, store
from limner.registry.device import DTYPES, check_names, choose, let_threads_sleep, tune_allocator
from limner.registry.resolve import resolve
from limner.registry.subjects import adapter_of, with_distinct_names
from limner.registry.weights import Runtime, Weights, between, is_path, members_of
from limner.session import painter_files
from limner.session.alternatives import Alternatives
from limner.session.choices import ModelChoices, models_of

ModelT = TypeVar("ModelT", bound=Model)

TASKS = catalog.SLOTS

READ = "read"
"""No slot: what reads phrases for a segmenter that can't itself, among the models that answered."""

MINI_SAID = (
    " is a mini: the models that ship with limner are tiny and were trained on composed "
    "scenes of drawn things, so on a photograph expect little of them."
)
"""Said once a session, after the name of the first mini that answers."""


class Models:
    """The models of one session: a name for each task, loaded when first needed; to detect there
    can be several, a consensus.

    Args: see ``Session``. Where a method takes a ``name``, it means one model of a consensus.
    """

    def __init__(self, choices: ModelChoices, say: Say) -> None:
        overrides = choices.models or {}
        unknown = sorted(set(overrides) - set(TASKS))
        if unknown:
            raise OptionError(f"models has the keys {', '.join(TASKS)}; got {', '.join(unknown)}.")
        check_names(choices.device, choices.dtype)
        if choices.device not in (None, "cpu"):  # also where no model will compute there
            choose(choices.device)
        self._choices = choices
        self.profile = choices.profile
        self.names: dict[str, str] = {**models_of(choices.profile, overrides), **overrides}
        self.answered: dict[str, ModelRef] = {}
        """Models used so far, by task; those of a consensus by task and name."""
        self.others = Alternatives(choices.profile, choices.commercial_safe)
        self._say = say
        self.subjects = dict(choices.subjects or {})
        """Taught subjects that the painter is to know, and how much."""
        self.fast = choices.fast
        """Whether the painter paints in a few steps, by an adapter made for it."""
        self._adapters = with_distinct_names(
            [adapter_of(name, weight) for name, weight in self.subjects.items()]
        )
        self._pool = pool.ModelPool(choices.memory_budget)
        self._runtime: Runtime | None = None
        self._entries: dict[str, tuple[catalog.ModelEntry, str | None]] = {}
        self._weights: dict[str, Weights] = {}
        self._minis: set[str] = set()
        """Names of the chosen models that ship with limner."""
        self._mini_said = False

    def chosen(self, task: str) -> tuple[str, ...]:
        """Names of the models that would answer: one, or those of a consensus.

        Raises:
            UnknownModel: the profile has no model for the task.
            OptionError: a consensus of fewer than two, or of one model twice; a choice by phrase
                of other than a face model and one more.
        """
        if task not in self.names:
            others = self.others.profiles((), task)
            raise UnknownModel(
                f"The profile {self.profile} has no model to {task}; "
                + (f"take {others}, or " if others else "")
                + f"name one of {', '.join(catalog.names(task))}."
            )
        names = members_of(task, self.names[task])
        if not all(names) or len(set(names)) < len(names):
            raise OptionError(
                "Detectors that are to agree are named once each, with + between them; "
                f"got {self.names[task]!r}."
            )
        if between(task, self.names[task]) == "|":
            first = None if is_path(names[0]) else self._entry_of(names[0])[0]
            if len(names) != 2 or first is None or first.family != "faces":
                raise OptionError(
                    "What stands before a | is a face model, and after it who answers all other "
                    f"phrases, as in centerface|haar; got {self.names[task]!r}."
                )
        return names

    def by_phrase(self) -> bool:
        """Whether one detector answers phrases for faces, and another all others."""
        return between("detect", self.names.get("detect", "")) == "|"

    def asked(self, prompts: Iterable[VisualPrompt]) -> tuple[str, ...]:
        """Names of the detectors that answer these prompts."""
        return self.asked_for(prompt.text for prompt in prompts)

    def asked_for(self, texts: Iterable[Text | None]) -> tuple[str, ...]:
        """Names of the detectors that answer these texts; None is another kind of prompt."""
        names = self.chosen("detect")
        if not self.by_phrase():
            return names
        phrases = [phrase for text in texts if text for phrase in (text.phrase, text.negative)]
        faces = {face_choice.is_face(phrase) for phrase in phrases if phrase}
        return tuple(
            name for name, wanted in zip(names, (True, False), strict=True) if wanted in faces
        )

    def say_who_sees_faces(self, prompts: Iterable[VisualPrompt]) -> None:
        """Tell which detector looks for faces, where any are asked for, and what it misses."""
        faces = [p for p in prompts if p.text and face_choice.is_face(p.text.phrase)]
        if faces and "detect" in self.names:
            for name in self.asked(faces):
                self._say(face_choice.sentence(name))

    def refs(self, tasks: Iterable[str]) -> list[ModelRef]:
        """The models that answered, for those of these tasks that any did."""
        keys = []
        for task in tasks:
            members = members_of(task, self.names.get(task, ""))
            keys += [task, *(f"{task} {name}" for name in members)]
        return [self.answered[key] for key in keys if key in self.answered]

    def entry(self, task: str, name: str | None = None) -> catalog.ModelEntry | None:
        """The catalog's entry for the model that would answer; None for a local folder, and for a
        consensus, whose models are all looked up.

        Raises:
            UnknownModel: no such name, or the profile has no model for the task.
            ModelError: a model of another task.
            LicenceRefused: the session is commercial-safe and the licence isn't, or is a local
                folder's, which nobody knows.
        """
        names = self.chosen(task)
        if name is None and len(names) > 1:
            for member in names:
                self.entry(task, member)
            return None
        name = name or names[0]
        task = "inpaint" if task == "remove" else task
        if is_path(name):
            if self._choices.commercial_safe:
                raise LicenceRefused(
                    f"--commercial-safe refuses {name}: the licence of a local folder is unknown. "
                    f"To {task} without such limits: {', '.join(catalog.commercial(task))}."
                )
            return None
        entry, note = self._entry_of(name)
        if note:
            self._say(note)
        if self._choices.commercial_safe:
            catalog.require_commercial(entry)
        if task not in entry.tasks:
            raise ModelError(
                f"{entry.name} is a model to {entry.purpose}, and one to {task} is needed: "
                f"{', '.join(catalog.names(task))}."
            )
        return entry

    def _entry_of(self, name: str) -> tuple[catalog.ModelEntry, str | None]:
        """``resolve``, once a name; a user's own endpoint may change meanwhile."""
        if name.startswith("vlm:"):
            return resolve(name)
        if name not in self._entries:
            self._entries[name] = resolve(name)
        return self._entries[name]

    def family(self, task: str) -> catalog.Family | None:
        """The family of the model that would answer, here or not; None: nobody knows."""
        name = self.chosen(task)[0]
        with suppress(LimnerError):  # said by what uses the model
            if is_path(name):
                return catalog.families().get(store.family_of(store.absolute(name)))
            return catalog.families().get(self._entry_of(name)[0].family)
        return None

    def weights(self, task: str, name: str | None = None) -> Weights:
        """Which files answer ``task``; nothing is loaded.

        Raises:
            WeightsMissing, UnsafeWeights, and what ``entry`` raises.
        """
        name = name or self.chosen(task)[0]
        if name not in self._weights:
            entry = self.entry(task, name)
            self._weights[name] = store.find(entry) if entry else store.from_folder(name)
            if entry and entry.shipped:
                self._minis.add(name)
        weights = self._weights[name]
        if task not in ("inpaint", "generate"):
            return weights
        if self._adapters:
            weights = painter_files.with_subjects(
                weights, self._adapters, self.subjects, self.others.painters(), self._say
            )
        if "refine" in self.names:
            weights = painter_files.with_refiner(weights, self.weights("refine"))
        return painter_files.accelerated(weights, self.accelerator()) if self.fast else weights

    def accelerator(self) -> catalog.ModelEntry:
        """The adapter that lets the painter paint in a few steps.

        Raises:
            OptionError, LicenceRefused: as ``painter_files.accelerator_of``.
        """
        return painter_files.accelerator_of(
            self.entry("inpaint"),
            self.names["inpaint"],
            commercial_safe=self._choices.commercial_safe,
        )

    def identities(self, tasks: Iterable[str] | None = None) -> dict[str, str]:
        """By task, text that changes when another model, other files or numbers would answer.

        The model's name and a digest of its files; for a local folder its path and a digest of its
        files' names, sizes and times. Then the device and the number format, where the session's
        caller chose them and the model obeys. Nothing is loaded, hashed or refused.

        Args:
            tasks: None: all. A task without a model is left out.
        """
        wanted = self.names if tasks is None else tasks
        identities = {
            task: f" {between(task, self.names[task]) or '+'} ".join(
                map(self.identity, members_of(task, self.names[task]))
            )
            for task in wanted
            if task in self.names
        }
        for task in {"inpaint", "generate"} & identities.keys():
            parts = [identities[task], *(adapter.identity for adapter in self._adapters)]
            if "refine" in self.names:
                parts.append(f"refined by {self.identity(self.names['refine'])}")
            if self.fast:
                parts.append(f"fast by {self._fast_identity()}")
            identities[task] = " ".join(parts)
        return identities

    def _fast_identity(self) -> str:
        try:
            return store.identity(self.accelerator())
        except (LimnerError, OSError):  # said by what uses the model
            return ""

    def identity(self, name: str) -> str:
        """Text that changes when another model than this, other files or numbers would answer."""
        try:
            entry = None if is_path(name) else self._entry_of(name)[0]
            if entry and entry.family == endpoints.FAMILY:
                return endpoints.identity(entry.name)
            if entry and entry.weightless:  # without torch there is no device to choose
                return entry.name
            identity = store.identity(entry) if entry else store.identity_of_folder(name)
            identity += _reader(entry, name)
        except (LimnerError, OSError, RuntimeError, ValueError):  # said by what uses the model
            identity = name
        dtype = self._choices.dtype
        numbers = (self._choices.device, DTYPES.get(dtype or "", dtype))
        return " ".join([identity, *(choice for choice in numbers if choice)])

    # mypy wants a concrete class where a protocol is named (type-abstract); isinstance takes one.

    @property
    def detector(self) -> Detector:
        return self._load("detect", Detector)  # type: ignore[type-abstract]

    def member(self, name: str) -> Detector:
        """One detector of a consensus."""
        return self._load("detect", Detector, name)  # type: ignore[type-abstract]

    def load_detectors(self, prompts: Iterable[VisualPrompt] | None = None) -> None:
        """The detector, or all of a consensus; of a choice by phrase those that ``prompts`` ask."""
        names = self.chosen("detect")
        if prompts is not None and len(names) > 1:
            _ = [self.member(name) for name in self.asked(prompts)]
            return
        _ = self.detector if len(names) == 1 else [self.member(name) for name in names]

    @property
    def segmenter(self) -> Segmenter:
        return self._load("segment", Segmenter)  # type: ignore[type-abstract]

    @property
    def inpainter(self) -> Inpainter:
        return self._load("inpaint", Inpainter)  # type: ignore[type-abstract]

    def painting_slot(self, *, words: bool) -> str:
        """Which slot's model fills a mask, with words or without."""
        return "remove" if not words and "remove" in self.names else "inpaint"

    def painter(self, slot: str) -> Inpainter:
        """The model of a painting slot."""
        return self._load(slot, Inpainter)  # type: ignore[type-abstract]

    @property
    def text_to_image(self) -> TextToImage:
        return self._load("generate", TextToImage)  # type: ignore[type-abstract]

    @property
    def encoder(self) -> Encoder:
        return self._load("encode", Encoder)  # type: ignore[type-abstract]

    @property
    def captioner(self) -> Captioner:
        return self._load("caption", Captioner)  # type: ignore[type-abstract]

    @property
    def matting(self) -> Matting:
        if sentence := matting_choice.sentence(self.names.get("matte", "")):
            self._say(sentence)
        return self._load("matte", Matting)  # type: ignore[type-abstract]

    def _load(self, task: str, kind: type[ModelT], name: str | None = None) -> ModelT:
        weights = self.weights(task, name)
        model = self._pool.get(weights, self._runtime_for(weights))
        if not isinstance(model, kind):
            raise ModelError(f"{weights.ref.name} ({weights.ref.family}) can't {task}.")
        if isinstance(model, Notifies):
            model.on_notice(self._say)
        self.answering(task, name)
        return model

    def answering(self, task: str, name: str | None = None) -> ModelRef:
        """Which model answers; nothing is loaded, for what it says may be at hand already.

        Raises:
            what ``weights`` raises.
        """
        ref = self.weights(task, name).ref
        self.answered[f"{task} {name}" if name else task] = ref
        if (name or self.names[task]) in self._minis and not self._mini_said:
            self._say(f"{ref.name}{MINI_SAID}")
            self._mini_said = True
        return ref

    def reading(self) -> ModelRef | None:
        """Which model reads phrases for the segmenter; None where it reads them itself."""
        family = catalog.families().get(self.weights("segment").ref.family)
        if family is None or not family.text_encoder:
            return None
        try:
            self.answered[READ] = store.find(family.text_encoder).ref
        except WeightsMissing:  # no mask was found that a phrase could be held against
            return None
        return self.answered[READ]

    def _runtime_for(self, weights: Weights) -> Runtime:
        family = catalog.families().get(weights.ref.family)
        if weights.path is None or (family and family.torchless):
            return Runtime()
        if self._runtime is None:
            tune_allocator()
            let_threads_sleep()
            self._runtime = choose(self._choices.device, self._choices.dtype)
        return self._runtime


def _reader(entry: catalog.ModelEntry | None, name: str) -> str:
    """The identity of what reads phrases for a model that can't itself; "" for the others."""
    with suppress(LimnerError):  # of a folder that holds no model: said by what uses it
        family = entry.family if entry else store.family_of(store.absolute(name))
        if reader := catalog.families()[family].text_encoder:
            return f" {store.identity(catalog.catalog()[reader])}"
    return ""
