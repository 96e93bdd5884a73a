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
from limner.io.limits import MAX_PIXELS
from limner.session.prompt_files import Opener, resolve

CHART = "probe"

MEASURES = {"iou": "IoU", "clip_t": "CLIP-T", "seam": "seam"}
"""As charts call them."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from limner.evaluation.prompt_sensitivity import Sensitivity


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
    """How far an answer hangs on its prompt: mean, spread, the worst case's picture.

    \b
    limner probe photo.jpg --box 150,0,310,215 --times 3
    limner probe lawn.png --text apple --profile mini -o worst.png

    Points and boxes are moved a little, a phrase is said in other words; with --paint the seed
    is varied instead, scored by CLIP-T where the profile has an encoder and by the seam otherwise.
    """
    from limner.session import Source
    from limner.session.probe import Variation, probe_outline, probe_painting

    objects = drafts(ctx)
    if len(objects) != 1:
        raise OptionError(f"probe looks at one object's prompt; {len(objects)} were given.")
    check_detecting(given, objects)
    out = _place(given)
    check_charts(given, (CHART,))
    opener = Opener(MAX_PIXELS, say_note)
    opened = opener.open(given["image"])
    source = Source(opened.image, opened.digest, str(given["image"]), opened.notes)
    (prompt,) = resolve(objects, source.image.size, opener)
    finding, session = finding_of({"multimask_output": None, **given}), session_of(given)
    variation = Variation(given["times"], given["jitter"], given["templates"], given["seed"])
    if given["paint"]:
        if given["truth"] or given["templates"]:
            raise OptionError("--truth and --template have no effect with --paint.")
        with progress("seeds") as on_step:
            sensitivity, worst = probe_painting(
                session, source, prompt, given["paint"], finding, variation, on_step=on_step
            )
    else:
        truth = opener.mask(str(given["truth"])).array if given["truth"] else None
        with progress("variants") as on_step:
            sensitivity, worst = probe_outline(
                session, source, prompt, finding, variation, truth=truth, on_step=on_step
            )
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
