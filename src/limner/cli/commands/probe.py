"""``limner probe``: how far an answer hangs on how exactly it was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.output_paths import new_picture
from limner.cli.console import say, say_json, say_note
from limner.cli.options.charts import charts_option, check_charts, draw_charts
from limner.cli.options.finding import finding_options
from limner.cli.options.flags import check_detecting
from limner.cli.options.prompt_flags import ObjectCommand, drafts
from limner.cli.options.report import model_options, models_used, print_table, shown
from limner.cli.options.run_store import no_record_option
from limner.cli.options.session import finding_of, session_of
from limner.cli.progress import progress
from limner.errors import OptionError
from limner.session.prompt_files import Opener, resolve

CHART = "probe"

MEASURES = {"iou": "IoU", "clip_t": "CLIP-T", "seam": "seam"}
"""As charts call them."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from limner.evaluation.prompt_sensitivity import Sensitivity, Trial
    from limner.prompts import VisualPrompt
    from limner.session import FindOptions, Session, Source


@click.command(cls=ObjectCommand)
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="The true mask; without it answers are held against that to the prompt as given.",
)
@click.option(
    "--times",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    help="How often points and boxes are moved, or seeds drawn.",
)
@click.option(
    "--jitter",
    type=click.FloatRange(0.001, 1),
    default=0.05,
    show_default=True,
    help="How far they are moved at most, in parts of the object's longer side.",
)
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="A way to say the phrase, with {thing} in it and {a} for its article; repeatable.",
)
@click.option("--paint", help="Vary the seed instead: what is painted where the prompt points.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@finding_options
@model_options("inpainter", "encoder")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="The worst case's picture; the report goes beside it (default: NAME-probe.png).",
)
@no_record_option
@click.option("--overwrite", is_flag=True, help="Replace results that exist.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")
@charts_option
@click.pass_context
def probe(ctx: click.Context, /, **given: Any) -> None:
    """How far an answer hangs on its prompt: mean, spread, and the worst case's picture.

    Points and boxes are moved a little, a phrase is said in other words; with --paint the seed
    is varied instead, scored by CLIP-T where the profile has an encoder and by the seam otherwise.
    """
    from limner.session import Source

    objects = drafts(ctx)
    if len(objects) != 1:
        raise OptionError(f"probe looks at one object's prompt; {len(objects)} were given.")
    check_detecting(given, objects)
    out = _place(given)
    check_charts(given, (CHART,))
    opener = Opener(100_000_000, say_note)
    opened = opener.open(given["image"])
    source = Source(opened.image, opened.digest, str(given["image"]), opened.notes)
    (prompt,) = resolve(objects, source.image.size, opener)
    finding, session = finding_of({"multimask_output": None, **given}), session_of(given)
    if given["paint"]:
        sensitivity, worst = _painted(given, source, prompt, finding, session)
    else:
        sensitivity, worst = _outlined(given, source, prompt, finding, session, opener)
    models = models_used(session, "detect", "segment", "inpaint", "encode")
    _write(given, out, sensitivity, worst, models)
    if given["charts"]:
        draw_charts(given, {CHART: _chart(given["image"].name, sensitivity)})


def _chart(name: str, sensitivity: Sensitivity) -> Figure:
    from limner.evaluation.charts.prompts import trial_dots

    return trial_dots(
        {trial.how: trial.value for trial in sensitivity.trials},
        score=f"{MEASURES[sensitivity.measure]} with {sensitivity.against}",
        asked=sensitivity.as_given,
        higher_is_better=sensitivity.higher_is_better,
        most=1.0 if sensitivity.measure == "iou" else None,
        title=f"{name}: mean {sensitivity.mean:.3f}, spread {sensitivity.spread:.3f}",
    )


def _place(given: dict[str, Any]) -> Path:
    out: Path = given["out"] or Path(f"{given['image'].stem}-probe.png")
    return new_picture(out, overwrite=given["overwrite"], beside=(".json",))


def _outlined(
    given: dict[str, Any],
    source: Source,
    prompt: VisualPrompt,
    finding: FindOptions,
    session: Session,
    opener: Opener,
) -> tuple[Sensitivity, Image]:
    from limner.evaluation import prompt_sensitivity
    from limner.ops import masks
    from limner.ops.overlay import overlay

    truth = opener.mask(str(given["truth"])).array if given["truth"] else None
    _check_truth(truth, source.image.size)

    def ask(variant: VisualPrompt) -> Any:
        return session.segment(source, [variant], finding=finding).grounding.mask

    first = ask(prompt)
    box = masks.box_of(first if truth is None else truth)
    side = max(box[2] - box[0], box[3] - box[1]) if box else max(source.image.size)
    pixels = given["jitter"] * side
    templates = given["templates"] or prompt_sensitivity.TEMPLATES
    variants = [
        *prompt_sensitivity.moved(prompt, source.image.size, pixels, given["times"], given["seed"]),
        *prompt_sensitivity.said_otherwise(prompt, templates),
    ]
    if given["templates"] and prompt.text is None:
        raise OptionError("--template has no effect without --text.")
    known = iter([first])  # it need not be asked again
    with progress("variants") as on_step:
        done = iter(range(len(variants) + 1))

        def ask_once(variant: VisualPrompt) -> Any:
            on_step(next(done), len(variants))
            return next(known, None) if variant is prompt else ask(variant)

        sensitivity = prompt_sensitivity.probe(ask_once, prompt, variants, truth)
    worst = sensitivity.worst.prompt or prompt
    run = session.segment(source, [worst], finding=finding)
    return sensitivity, overlay(source.image, run.grounding.detections, [worst])


def _check_truth(truth: Any, size_wh: tuple[int, int]) -> None:
    from limner.errors import PromptError

    if truth is not None and truth.shape != size_wh[::-1]:
        raise PromptError(
            f"The true mask is {truth.shape[1]}x{truth.shape[0]} pixels and the image "
            f"{size_wh[0]}x{size_wh[1]}: a mask covers the whole image, pixel for pixel."
        )


def _painted(
    given: dict[str, Any],
    source: Source,
    prompt: VisualPrompt,
    finding: FindOptions,
    session: Session,
) -> tuple[Sensitivity, Image]:
    from limner.evaluation import clip_t
    from limner.evaluation.prompt_sensitivity import Sensitivity, Trial
    from limner.options import InpaintOptions
    from limner.pipeline.crops import crop_around
    from limner.prompts import Text

    if given["truth"] or given["templates"]:
        raise OptionError("--truth and --template have no effect with --paint.")
    encoder = session.models.encoder if "encode" in session.models.names else None
    trials: list[Trial] = []
    with progress("seeds") as on_step:
        for seed in range(given["seed"], given["seed"] + given["times"]):
            run = session.edit(
                source,
                [prompt],
                Text(given["paint"]),
                finding=finding,
                inpaint=InpaintOptions(seed=seed),
            )
            if not run.edits:
                raise OptionError("Nothing was found by the prompt: there is no place to paint.")
            edit, value = run.edits[0], run.edits[0].seam
            if encoder is not None:
                crop = edit.image.crop(crop_around(edit.mask, context=0.1, grid=1))
                value = clip_t(encoder, [crop], [given["paint"]])
            trials.append(Trial(f"seed {seed}", value, edit.image))
            on_step(len(trials), given["times"])
    by_words = encoder is not None
    against = f"“{given['paint']}”" if by_words else "its surroundings"
    measure = "clip_t" if by_words else "seam"
    sensitivity = Sensitivity(measure, against, None, tuple(trials), higher_is_better=by_words)
    return sensitivity, sensitivity.worst.answer


def _write(
    given: dict[str, Any],
    out: Path,
    sensitivity: Sensitivity,
    worst: Image,
    models: list[dict[str, Any]],
) -> None:
    from limner.io.save import save_image, write_atomic

    about = {"what": "probe", "image": str(given["image"]), "models": models}
    report = {**about, **sensitivity.to_dict()}
    text = json.dumps(report, indent=2, ensure_ascii=False)
    save_image(worst, out, record=None if given["no_record"] else report, overwrite=True)
    write_atomic(out.with_suffix(".json"), text + "\n", overwrite=True)
    if given["as_json"]:
        say_json(report, indent=2)
        return
    rows = [(trial.how, shown(trial.value)) for trial in sensitivity.trials]
    print_table(("variant", sensitivity.measure), rows)
    if sensitivity.as_given is not None:
        say(f"as given {sensitivity.as_given:.3f}, held against {sensitivity.against}")
    else:
        say(f"held against {sensitivity.against}")
    worst_trial = sensitivity.worst
    spread = f"mean {sensitivity.mean:.3f}, spread {sensitivity.spread:.3f}"
    say(f"{spread}, worst {worst_trial.value:.3f}")
    say(f"{out}  the worst: {worst_trial.how}")
