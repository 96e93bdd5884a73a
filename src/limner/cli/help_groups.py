"""Under which heading of ``--help`` a flag stands; the headings in the order in which they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

PROMPTS = "Prompts"
BEHIND = "Behind it"
FILES = "What is read and written"
MODELS = "Models"
KEEPING = "Keeping and tracking"
REST = "Options"
"""Flags of one command alone; the first heading where nothing is prompted."""

HEADINGS: Mapping[str, tuple[str, ...]] = {
    PROMPTS: tuple(
        "sides aspect paint text not box point mask exemplar like not_like label object "
        "prompts_file prompts everything what_is_here negative_prompt verify templates prompt "
        "instance_prompt class_prompt".split()
    ),
    BEHIND: (),
    FILES: tuple(
        "out outputs overwrite as_json json_objects semantic panoptic metadata format layout "
        "report charts sheet copy_unchanged keep_metadata no_record fail_if_empty dry_run "
        "recursive max_pixels data_format images classes predictions class_images".split()
    ),
    MODELS: tuple(
        "profile models model detector segmenter inpainter generator refiner fast encoder dino "
        "captioner subjects adapters commercial_safe device dtype".split()
    ),
    KEEPING: tuple("store no_store tags no_cache track track_to".split()),
}
"""Heading -> parameters by name, in the order in which they are shown. A flag that isn't here says
its heading itself (``GroupedOption``), or stands under ``REST``."""


SETTINGS: Mapping[str, str] = {
    "DetectOptions": "Settings of what looks for words and examples",
    "SegmentOptions": "Settings of what outlines",
    "EverythingOptions": "Settings of --everything",
    "EditOptions": "Settings of the edit",
    "FrameOptions": "Settings of the canvas and the file",
    "RedactOptions": "Settings of what hides",
    "InpaintOptions": "Settings of what paints",
    "CanvasOptions": "Settings of what paints",
    "TeachOptions": "Settings of the training",
}
"""Dataclass of settings -> heading of its flags."""


class GroupedOption(click.Option):
    """A flag with a heading of its own, for which ``HEADINGS`` has another one or none."""

    def __init__(self, *words: Any, heading: str, **given: Any) -> None:
        super().__init__(*words, **given)
        self.heading = heading


class Setting(GroupedOption):
    """A flag of a dataclass of settings: ``HEADINGS`` decides first, then its class's heading."""


def grouped(parameters: Iterable[click.Parameter]) -> dict[str, list[click.Option]]:
    """Heading -> its flags, as ``--help`` shows them; headings without flags are left out."""
    groups: dict[str, list[click.Option]] = {heading: [] for heading in HEADINGS}
    for option in parameters:
        if isinstance(option, click.Option) and not option.hidden:
            groups.setdefault(heading_of(option), []).append(option)
    for heading, names in HEADINGS.items():
        groups[heading].sort(key=lambda option: _place(names, option.name or ""))
    rest = {REST: groups.pop(REST, [])}
    ordered = {**groups, **rest} if groups[PROMPTS] else {**rest, **groups}
    return {heading: options for heading, options in ordered.items() if options}


def heading_of(option: click.Option) -> str:
    """The heading that a flag stands under."""
    own = option.heading if isinstance(option, GroupedOption) else None
    if own is not None and not isinstance(option, Setting):
        return own
    listed = next((title for title, names in HEADINGS.items() if option.name in names), None)
    return listed or own or REST


def _place(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)
