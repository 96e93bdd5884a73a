"""``Session``: the verbs about one picture, and what asks many sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from limner.errors import OptionError
from limner.options import TeachOptions
from limner.prompts.prompt_list import AnyPrompts
from limner.protocols import OnStep
from limner.registry.subjects import Subject
from limner.runs.entries import Labels
from limner.session.call import SegmentSettings, options_from, strict
from limner.session.results import AnyImage, Source
from limner.session.trials import Compared, Evaluated, Swept
from limner.session.verb_session import VerbSession

if TYPE_CHECKING:
    from limner.runs.store import Store
    from limner.session.cell_answers import AnswererConfig
    from limner.training.dreambooth import StepReport


class Working(TypedDict, total=False):
    """How the cells of a suite or a sweep are worked through."""

    workers: int
    resume: bool
    retry_errors: bool


class SuiteSettings(Working, total=False):
    """``session.suites.SuiteOptions`` by its fields, and how cells are worked through."""

    repeat: int
    pattern: str | None
    failing: str | None
    baseline: str | None
    allow_python: bool
    outputs: tuple[Path, ...]


class Session(VerbSession):
    """Models by name, loaded on first use and kept under a memory budget.

    Args:
        profile: a row of the catalog's profiles, naming a model for each task.
        models: task ("detect", "segment", "inpaint", "encode", "caption", "matte") -> model name or
            local folder; overrides the profile. To detect, several with + between them are a
            consensus.
            "remove" names what removes where no words say what is to be painted (absent: what
            inpaints), "refine" what does the last steps of what inpaints.
        commercial_safe: refuse models whose licence bars commercial use.
        device: where models run, see ``registry.device.choose``; None chooses.
        dtype: of their numbers, likewise.
        memory_budget: bytes of live models; None is half of the machine's memory.
        say: gets sentences that a person should read, such as that a deleted repository's successor
            was used.
        store: where every run is recorded: an open store, or a name that ``Store.open`` takes, such
            as ``.limner``; None records nothing. What goes wrong there is said once and fails no
            verb.
        labels: the tags of the runs, and what they are part of.
        subjects: taught subjects (names, or paths of LoRA files) that the painter is to know, and
            how much of each: 1 is as it was taught.
        fast: paint in a few steps, by the adapter that the catalog has for the painter.
        cache: where answers of detectors and segmenters are kept for other sessions; None: in this
            one's memory only.

    A task's model is also an argument of its own, ``Session(detect="owlvit-base-patch32")``; so
    with segment, inpaint, remove, generate, encode, caption and matte (what takes the main thing).

    Every verb takes an image (a path or a picture) and prompts, and returns a ``Run``. That nothing
    was found is a result, not an error.
    """

    # --- many models, many settings ---------------------------------------------------------------

    def compare(
        self,
        image: AnyImage,
        prompts: AnyPrompts | None,
        models: str | Sequence[str],
        *,
        on_step: OnStep | None = None,
        **named: Unpack[SegmentSettings],
    ) -> Compared:
        """Ask several models the same, each in a process of its own; it makes no run.

        Args:
            image: as in ``detect``.
            prompts: phrases and examples for detectors, or clicks, boxes and masks for segmenters.
            models: names or folders; or names with commas between them. The session's own models
                take no part.
            on_step: told how many have answered.
            named: ``finding`` as one value, or settings by their names.

        Returns:
            All answers; a model that couldn't answer is a row that says why.

        Raises:
            OptionError: no model, one twice, or prompts of both kinds.
            UnknownModel, ModelError: a name that isn't one, or a model that does neither.

        Example:
            ``Session().compare("lawn.png", (150, 50, 240, 120), ["grabcut", "mini-sam"]).show()``
        """
        from limner.runs.record import describe
        from limner.session import compare

        call = strict("segment", prompts, named)
        names = [name.strip() for name in models.split(",")] if isinstance(models, str) else models
        source = Source.open(image)
        question = compare.Question(
            source.image,
            call.prompts,
            call.finding,
            self._choices.commercial_safe,
            self._choices.device,
            self._choices.dtype,
        )
        answers = []
        for answer in compare.compare(question, list(names)):
            answers.append(answer)
            if on_step is not None:
                on_step(len(answers), len(names))
        return Compared(
            compare.sheet_of(source.image, call.prompts, answers),
            [describe(prompt) for prompt in call.prompts],
            [answer.to_dict() for answer in answers],
            {each.name: each.detections for each in answers if each.detections is not None},
            tuple(dict.fromkeys(note for answer in answers for note in answer.notes)),
        )

    def evaluate(
        self,
        suite: str | Path,
        *,
        on_step: OnStep | None = None,
        **named: Unpack[SuiteSettings],
    ) -> Evaluated:
        """Run a suite of prompt tests, as ``limner eval`` does (docs/suites.md).

        Args:
            suite: its file. The models are those that it names; device, number format, store and
                cache are the session's.
            on_step: told how many cells are done, of how many.
            named: ``repeat``, ``pattern`` (of cases' names), ``failing`` and ``baseline`` (a
                report, the id of an eval, or "last"), ``allow_python``, ``outputs`` (reports to
                write), ``workers`` (processes), ``resume``, ``retry_errors``.

        Returns:
            The report, with the matrix as a page. That a cell fails is a result, not an error.

        Raises:
            SuiteError: the suite is wrong, tests nothing, or asks for Python that isn't allowed.
            OptionError: a setting that there isn't, or no cell is left by the filters.
            OutputError: a report of no format, or nothing can be written.

        Example:
            ``Session().evaluate("suite.yaml", repeat=2).save("report.html")``
        """
        from limner.evaluation.cells.journal import PICTURES
        from limner.evaluation.cells.runner import Execution
        from limner.session.suites import SuiteOptions, journal_folder, run_suite

        options, execution = options_from("evaluate", named, SuiteOptions, Execution)
        run = run_suite(Path(suite), self._answerer_config(), options, execution, on_step=on_step)
        return Evaluated(run.report, run.failed, journal_folder(Path(suite)) / PICTURES)

    def sweep(
        self,
        recipe: str | Path,
        out: str | Path | None = None,
        *,
        overwrite: bool = False,
        on_step: OnStep | None = None,
        **named: Unpack[Working],
    ) -> Swept:
        """Try many settings of one verb and lay out what comes of them, as ``limner sweep`` does
        (docs/sweeps.md).

        Args:
            recipe: its TOML file. The models are those that it names; device, number format, store
                and cache are the session's.
            out: the folder for all that is made; None: beside you, named after the recipe.
            overwrite: begin anew where a sweep lies already.
            on_step: told how many pictures are done, of how many.
            named: ``workers`` (processes), ``resume``, ``retry_errors``.

        Returns:
            The report and the contact sheets.

        Raises:
            RecipeError: the recipe is wrong; in which line.
            MissingExtra: the search needs Optuna.
            OutputError: something else lies in ``out``, or nothing can be written.
            OptionError: a setting that there isn't, or what excludes each other.

        Example:
            ``Session().sweep("recipe.toml", "sweep").best``
        """
        from limner.evaluation.cells.runner import Execution
        from limner.evaluation.sweeps.recipe import read_recipe
        from limner.session.sweeps import run_sweep

        (execution,) = options_from("sweep", named, Execution)
        recipe = Path(recipe)
        folder = Path(f"{recipe.stem}-sweep") if out is None else Path(out)
        run = run_sweep(
            read_recipe(recipe),
            folder,
            self._answerer_config(),
            execution,
            overwrite=overwrite,
            on_step=on_step,
        )
        return Swept(folder, run.report, run.sheets)

    def teach(
        self,
        name: str,
        photographs: str | Path,
        model: str,
        *,
        overwrite: bool = False,
        consent: bool = False,
        on_step: OnStep | None = None,
        **named: Any,
    ) -> Subject:
        """Teach a model a subject from three to six photographs, as ``limner teach`` does
        (docs/teach.md); a teaching that was stopped goes on with the same call.

        Args:
            name: what the subject is called from then on: ``Session(subjects={name: 1})``.
            photographs: their folder.
            model: the diffusion model that is taught: a name, or a folder.
            overwrite: begin anew where a subject of this name is.
            consent: a person shown has agreed.
            on_step: told how many steps are done, of how many.
            named: the fields of ``TeachOptions``, such as ``instance_prompt="a photo of sks dog"``
                and ``class_prompt="a photo of a dog"``, which it needs, or ``max_train_steps=400``.

        Returns:
            The subject, with its folder and its card.

        Raises:
            OptionError: a setting that there isn't, out of its range, or that is missing.
            UnknownModel, ModelError: no such model, or one that can't be taught.
            ImageError: no usable photographs.

        Example:
            ``Session().teach("mydog", "photos", "mini-sd", instance_prompt="a photo of sks dog",
            class_prompt="a photo of a dog").card``
        """
        from limner.registry import pool, subjects
        from limner.session.teach import teach_subject

        options = _teach_options(named)
        from limner.training import identifiers
        from limner.training.dreambooth import Callbacks, TeachConfig
        from limner.training.save_subject import check_consent

        naming = identifiers.naming(options.instance_prompt, options.class_prompt)
        check_consent(naming.noun, consent)

        folder = subjects.folder_of(name) / subjects.RUN
        config = TeachConfig(
            model, Path(photographs), folder, options, device=self._choices.device, anew=overwrite
        )
        callbacks = Callbacks(self._say, on_step=_counting(on_step))
        with pool.no_progress_bars():
            _, subject = teach_subject(
                name, config, callbacks, recorder=self.recording, consent=consent
            )
        if subject is None:
            raise OptionError("A process that helps another one teach gets no subject.")
        return subject

    def _answerer_config(self) -> AnswererConfig:
        from limner.session.cell_answers import AnswererConfig

        config = AnswererConfig(
            commercial_safe=self._choices.commercial_safe,
            device=self._choices.device,
            dtype=self._choices.dtype,
            stages=self._arguments.get("cache"),
            store=self._opening(),
            labels=self._arguments.get("labels") or Labels(),
        )
        say = self._arguments.get("say")
        return config if say is None else replace(config, notify=say)

    def _opening(self) -> Callable[[], Store] | None:
        """What opens the session's store in any process."""
        from limner.runs.store import Store

        place = self._arguments.get("store")
        if place is None or (callable(place) and not isinstance(place, Store)):
            return place
        if isinstance(place, str | Path):
            return partial(Store.open, place)
        return partial(_itself, place)


def _counting(on_step: OnStep | None) -> Callable[[StepReport], None]:
    def count(step: StepReport) -> None:
        if on_step is not None:
            on_step(step.step, step.total)

    return count


def _teach_options(named: Mapping[str, Any]) -> TeachOptions:
    """The settings of a teaching.

    Raises:
        OptionError: a setting that there isn't, out of its range, or words that are missing.
    """
    options: TeachOptions
    (options,) = options_from("teach", named, TeachOptions)
    missing = [key for key in ("instance_prompt", "class_prompt") if not named.get(key)]
    if missing:
        raise OptionError(
            f'teach needs {" and ".join(missing)}, such as instance_prompt="a photo of sks '
            'dog" and class_prompt="a photo of a dog".'
        )
    return options


def _itself(store: Store) -> Store:
    return store
