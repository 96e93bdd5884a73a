"""``limner teach``: a model is taught one subject from a few photographs."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.output_paths import check_writable
from limner.cli.commands.teach import score
from limner.cli.commands.teach import subjects as taught
from limner.cli.commands.teach.photos import caption, check_looking, looking_options, outline_of
from limner.cli.console import say, say_json, saying_once
from limner.cli.help_groups import PROMPTS, GroupedOption
from limner.cli.help_page import HelpGroup
from limner.cli.options.flags import flag_name, flags, typed
from limner.cli.options.run_store import keeping_options, recording_store
from limner.cli.options.tracking import tracking, tracking_options
from limner.cli.progress import new_bar
from limner.errors import OptionError
from limner.options import TeachOptions
from limner.registry.device import check_names, let_threads_sleep, tune_allocator

if TYPE_CHECKING:
    from limner.protocols import OnStep
    from limner.runs.store import Store
    from limner.training.dreambooth import Callbacks, StepReport, TeachConfig
    from limner.training.estimate import Plan


class TeachGroup(HelpGroup):
    """``limner teach FOLDER`` is ``limner teach run FOLDER``; a folder named like a command is
    written ``./list``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=TeachGroup, context_settings={"help_option_names": ["-h", "--help"]})
def teach() -> None:
    """Teach a model a subject from three to six photographs, and use what was taught.

    \b
    limner teach photos --name mydog --model mini-sd-inpaint \\
        --instance-prompt "a photo of ohwx dog" --class-prompt "a photo of a dog"
    limner edit room.jpg --text "the sofa" --subject mydog --paint "ohwx dog"

    FOLDER alone means `run FOLDER`.
    """


@teach.command("run")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--name", cls=GroupedOption, heading=PROMPTS, help="What the subject is called from then on."
)
@click.option("--model", help="Diffusion model that is taught: a name, or a folder.")
@flags(TeachOptions)
@click.option(
    "--class-images",
    type=click.Path(path_type=Path),
    help="Your own pictures of the class, instead of made ones.",
)
@looking_options
@click.option("--device", help="cpu or cuda (default: the first GPU, else the CPU).")
@click.option("--i-have-consent", "consent", is_flag=True, help="A person shown has agreed.")
@keeping_options
@tracking_options
@click.option("--dry-run", is_flag=True, help="Do three steps and say what all would take.")
@click.option("--overwrite", is_flag=True, help="Begin anew where a subject of this name is.")
@click.option("--json", "as_json", is_flag=True, help="The card, or the plan, as JSON on stdout.")
def run(**given: Any) -> None:
    """Teach a model the subject that the photographs in FOLDER show.

    \b
    limner teach run portraits --name mybag --model mini-sd-inpaint \\
        --instance-prompt "a photo of ohwx backpack" \\
        --class-prompt "a photo of a backpack" \\
        --num-class-images 4 --max-train-steps 8
    limner teach run portraits --name mybag --model mini-sd-inpaint \\
        --instance-prompt "a photo of ohwx backpack" \\
        --class-prompt "a photo of a backpack" --dry-run

    A run that was stopped goes on with the same command, to the same weights. Captions are read
    from FOLDER/metadata.jsonl where there is one, or from a .txt beside each photograph.
    """
    from limner.registry import pool, subjects

    _check_complete(given)
    let_threads_sleep()  # before torch comes
    from limner.training import identifiers
    from limner.training.save_subject import check_consent

    options = typed(TeachOptions, given)
    naming = identifiers.naming(options.instance_prompt, options.class_prompt)
    check_consent(naming.noun, given["consent"])
    check_looking(given)
    _check_dry_run(given)
    store = recording_store(given)
    place = subjects.folder_of(given["name"])
    check_writable(place)
    check_names(given["device"], None)
    tune_allocator()
    from limner.training.dreambooth import Callbacks, TeachConfig

    config = TeachConfig(
        given["model"],
        given["folder"],
        place / subjects.RUN,
        options,
        given["class_images"],
        given["device"],
        given["overwrite"],
    )
    callbacks = Callbacks(saying_once(), outline=outline_of(given))
    with pool.no_progress_bars():
        if given["caption"]:
            _say_captions(caption(given, naming), given["as_json"])
        elif given["dry_run"]:
            from limner.training.estimate import plan

            _say_plan(plan(config, callbacks), given["as_json"])
        else:
            _teach(given, config, callbacks, store)


NEEDED = {
    "name": "mydog",
    "model": "mini-sd-inpaint",
    "instance_prompt": '"a photo of sks dog"',
    "class_prompt": '"a photo of a dog"',
}
"""What every subject needs, and an example of each."""


def _check_complete(given: Mapping[str, Any]) -> None:
    """Refuse a command that lacks something, naming all of it, with the command as it would be.

    Raises:
        OptionError: something is missing.
    """
    missing = [flag_name(name) for name in NEEDED if not (given[name] or "").strip()]
    if not missing:
        return
    values = {name: shlex.quote(given[name]) if given[name] else NEEDED[name] for name in NEEDED}
    words = " ".join(f"{flag_name(name)} {value}" for name, value in values.items())
    *others, last = missing
    names = f"{', '.join(others)} and {last}" if others else last
    folder = shlex.quote(str(given["folder"]))
    raise OptionError(
        f"{names} {'are' if others else 'is'} missing. For example: limner teach {folder} {words}"
    )


def _teach(
    given: Mapping[str, Any],
    config: TeachConfig,
    callbacks: Callbacks,
    store: Callable[[], Store] | None,
) -> None:
    """Teach, tell trackers and the store, and say what was saved."""
    from limner.runs.entries import Labels
    from limner.session.record import RunRecorder
    from limner.session.teach import teach_subject

    recorder = RunRecorder(store, Labels(tuple(given["tags"])), callbacks.say)
    with (
        tracking(given["track"], given["track_to"]) as trackers,
        _watched() as (on_class_image, on_step),
    ):
        result, subject = teach_subject(
            given["name"],
            config,
            replace(callbacks, on_class_image=on_class_image, on_step=on_step),
            trackers=trackers,
            recorder=recorder,
            consent=given["consent"],
        )
    if subject is None:
        return
    if given["as_json"]:
        say_json(dict(subject.card))
        return
    count = len(result.photographs.usable)
    say(f"{config.folder.parent}  {result.step} steps, {count} photographs, {result.seconds:.0f} s")


teach.add_command(taught.listed)
teach.add_command(taught.show)
teach.add_command(taught.export)
teach.add_command(taught.merge)
teach.add_command(score.score)


def _check_dry_run(given: Mapping[str, Any]) -> None:
    """Refuse settings without effect; that LIMNER_TRACK is set for all runs is none.

    Raises:
        OptionError: what is kept or told of a run that isn't one, or captions.
    """
    source = click.get_current_context().get_parameter_source
    typed_here = click.core.ParameterSource.COMMANDLINE
    idle = [
        name
        for name, flag in (("--track", "track"), ("--tag", "tags"))
        if given[flag] and source(flag) is typed_here
    ]
    idle += ["--caption"] if given["caption"] else []
    if given["dry_run"] and idle:
        have = "have" if len(idle) > 1 else "has"
        raise OptionError(f"{' and '.join(idle)} {have} no effect with --dry-run.")


@contextmanager
def _watched() -> Iterator[tuple[OnStep, Callable[[StepReport], None]]]:
    """Progress on stderr: a bar on a terminal, else a line every tenth of the way."""
    if not sys.stderr.isatty():
        yield lambda done, total: None, _line
        return
    with new_bar(tail="{task.description}  {task.fields[numbers]}") as bar:
        making = bar.add_task("class images", total=None, numbers="", visible=False)
        steps = bar.add_task("steps", total=None, numbers="", visible=False)

        def on_class_image(done: int, total: int) -> None:
            bar.update(making, completed=done, total=total, visible=done < total)

        def on_step(report: StepReport) -> None:
            done, total = report.step, report.total
            bar.update(steps, completed=done, total=total, numbers=_numbers(report), visible=True)

        yield on_class_image, on_step


def _line(report: StepReport) -> None:
    if report.step == 1 or report.step % max(1, report.total // 10) == 0:
        left = report.seconds * (report.total - report.step)
        remaining = time.strftime("%H:%M:%S", time.gmtime(left))
        say(f"step {report.step}/{report.total}  {_numbers(report)}, {remaining} left", err=True)


def _numbers(report: StepReport) -> str:
    prior = "" if report.prior is None else f", prior {report.prior:.3f}"
    return (
        f"loss {report.loss:.3f} (instance {report.instance:.3f}{prior}), "
        f"{report.seconds:.2f} s/step"
    )


def _say_captions(written: Path, as_json: bool) -> None:
    if as_json:
        say_json({"captions": str(written)})
    else:
        say(f"{written}  nothing is taught yet: edit it, then run the same without --caption")


def _say_plan(plan: Plan, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        whole = {"minutes_a_hundred": plan.minutes_a_hundred, "minutes": plan.minutes}
        say_json({**asdict(plan), **whole})
        return
    held = [
        f"{size / 1e9:.1f} GB {where}"
        for size, where in ((plan.memory_bytes, "of memory"), (plan.device_bytes, "on the GPU"))
        if size
    ]
    say(f"memory: {' and '.join(held) or 'not known'}")
    say(f"a hundred steps: {plan.minutes_a_hundred:.1f} minutes at {plan.side} px")
    if plan.seconds_a_class_image is not None:
        say(f"a class image: {plan.seconds_a_class_image:.1f} s, {plan.class_images} are needed")
    say(f"in all: about {plan.minutes:.1f} minutes for {plan.steps} steps")
    say(
        "to need less memory: --gradient-checkpointing, --mixed-precision bf16, a smaller "
        "--train-batch-size or --resolution, and last --use-8bit-adam with --method full"
    )
