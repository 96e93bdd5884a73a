"""``limner detect`` and ``limner segment``: parse, call, write what was found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.dry_run import print_plan
from limner.cli.batch.folder_listing import FolderListing
from limner.cli.batch.output_paths import Place, places
from limner.cli.batch.resume import check_free
from limner.cli.batch.run_batch import Work, batch_options, run_batch
from limner.cli.batch.settings import Settings
from limner.cli.batch.tries import own_folder
from limner.cli.console import say_note
from limner.cli.options.finding import captioning_options, detecting_options, finding_options
from limner.cli.options.flags import check_detecting, flags, typed
from limner.cli.options.prompt_flags import ObjectCommand, object_options
from limner.cli.options.prompts_file import asked_prompts, prompts_option
from limner.cli.options.session import finding_of, recording_session_of
from limner.errors import OptionError
from limner.ops.detections import category_ids, class_names
from limner.options import EverythingOptions
from limner.session.preflight import check_models
from limner.session.prompt_files import Opener
from limner.verbs import VERBS

if TYPE_CHECKING:
    from limner.session import Run, Source
    from limner.session.request import Request


json_objects_option = click.option(
    "--json-objects",
    is_flag=True,
    help="One JSON object a picture: label, score, box (xyxy) and mask file of each find.",
)


@click.command(cls=ObjectCommand)
@batch_options
@json_objects_option
@captioning_options
@prompts_option
@detecting_options
@object_options
@click.pass_context
def detect(ctx: click.Context, /, **given: Any) -> None:
    """Boxes around what a phrase or an example image names.

    \b
    limner detect photo.jpg --text face
    limner detect lawn.png --text apple --profile mini -o apples.png

    Writes a picture with the boxes and a COCO JSON file beside it; for a folder also
    annotations-detect.json, which lists all of them. Classes are numbered as they were asked for.
    """
    _find(ctx, "detect", given, masks=False)


@click.command(cls=ObjectCommand)
@batch_options
@json_objects_option
@click.option("--semantic", is_flag=True, help="Also write a semantic map.")
@click.option("--panoptic", is_flag=True, help="Also write a COCO-panoptic PNG and JSON.")
@flags(EverythingOptions)
@click.option("--everything", is_flag=True, help="Outline everything, without a prompt (sam).")
@captioning_options
@prompts_option
@finding_options
@click.pass_context
def segment(ctx: click.Context, /, **given: Any) -> None:
    """Outline what you click on, box or name.

    \b
    limner segment cup.jpg --point 300,110
    limner segment lawn.png --text apple --object --text rabbit --profile mini

    Writes a picture with the outlines, a COCO JSON file with the masks as RLE, and a folder with a
    mask PNG for each object; for a folder also annotations-segment.json, which lists all of them.
    Classes are numbered as they were asked for, in every file and map.
    """
    _find(ctx, "segment", given, masks=True)


def _find(ctx: click.Context, verb: str, given: dict[str, Any], *, masks: bool) -> None:
    settings = Settings.of(verb, given)
    if settings.as_json and settings.json_objects:
        raise OptionError("Give --json, which prints the whole record, or --json-objects.")
    prompts = asked_prompts(ctx, given, settings)
    everything = None
    if given.get("everything"):
        everything = typed(EverythingOptions, given)
    elif typed(EverythingOptions, given) != EverythingOptions():
        raise OptionError("Everything mode's settings have no effect without --everything.")
    captioned: bool = given["what_is_here"]
    if given["captioner"] and not captioned:
        raise OptionError("--captioner has no effect without --what-is-here.")
    asked_for = bool(prompts) or captioned
    if asked_for == bool(everything):
        raise OptionError(
            "Give prompts and --what-is-here, or --everything, not both."
            if asked_for
            else _nothing_asked(verb)
        )
    finding = finding_of({"multimask_output": None, **given})
    session = recording_session_of(given)
    check_detecting(given, prompts.typed, prompts.phrases, captioned=captioned)
    arguments: dict[str, Any] = {"finding": finding, "what_is_here": captioned}
    if masks:
        arguments["everything"] = everything
    if settings.dry_run:
        print_plan(settings, session, prompts.drafts, arguments)
        return

    places(settings)  # an input that is missing is said before a model that is
    check_models(session.models, verb, prompts.drafts, arguments)
    opener = Opener(settings.max_pixels, say_note)
    maps = tuple(name for name in ("semantic", "panoptic") if given.get(name))

    def ask(source: Source) -> Request:
        return session.request(verb, prompts.for_source(source, opener), **arguments)

    settings = own_folder(settings, ask, ".json")
    listing = FolderListing.of(settings, prompts.classes)

    def write(run: Run, place: Place, record: dict[str, Any]) -> Sequence[Path]:
        return write_found(run, place, record, listing, masks=masks, maps=maps)

    run_batch(settings, session, Work(ask, write, ".json", maps, after=listing.write))


def _nothing_asked(verb: str) -> str:
    if not VERBS[verb].outlines:
        return (
            'Nothing was asked for: give --text "dog", --exemplar dog.jpg, --like BOX or '
            "--what-is-here."
        )
    return (
        "Nothing was asked for: give --point x,y, --box left,top,right,bottom, --mask m.png, "
        '--text "dog", --exemplar dog.jpg, --prompts FILE, --what-is-here, or --everything.'
    )


def write_found(
    run: Run,
    place: Place,
    record: dict[str, Any],
    listing: FolderListing,
    *,
    masks: bool,
    maps: Sequence[str],
) -> list[Path]:
    """Masks, maps, the overlay, and last the COCO JSON, which lists them: it says all is there."""
    from PIL import Image

    from limner.io import coco as export
    from limner.io.save import save_image, write_atomic
    from limner.ops.overlay import overlay

    detections, size_wh = run.grounding.detections, run.source.image.size
    settings = listing.settings
    path, classes = Path(str(run.source.path)), listing.classes(run)
    image_id = listing.image_id(path)
    coco = export.coco([(listing.file_name(path), size_wh, detections)], classes, image_id)
    pictures: dict[Path, Callable[[], Any]] = {}
    texts: dict[Path, str] = {}
    if masks and len(detections):
        named = export.mask_pngs(detections, place.stem)
        pictures |= {place.masks / name: mask for name, mask in named}
    if "semantic" in maps:
        semantic_map, names = export.semantic_map(detections, size_wh, classes)
        pictures[place.beside("-semantic.png")] = partial(Image.fromarray, semantic_map)
        record["semantic"] = names
    if "panoptic" in maps:
        numbers = category_ids(class_names(detections), classes)
        ids, segments = export.panoptic(detections, size_wh, numbers)
        pictures[place.beside("-panoptic.png")] = partial(Image.fromarray, ids)
        name = place.beside("-panoptic.png").name
        annotation = {"image_id": image_id, "file_name": name, "segments_info": segments}
        info = {} if settings.no_record else {"limner": record}
        head = {"info": info, "images": coco["images"]}
        texts[place.beside("-panoptic.json")] = json.dumps(
            {**head, "annotations": [annotation], "categories": coco["categories"]}
        )
    pictures[place.main] = partial(overlay, run.source.image, detections, run.grounding.prompts)
    marker = place.beside(".json")
    files = [marker, *texts, *pictures]
    listed = {"maps": list(maps), "files": [p.relative_to(place.folder).as_posix() for p in files]}
    if not settings.no_record:
        coco["info"] = {**coco.get("info", {}), "limner": {**record, **listed}}
    texts[marker] = json.dumps(coco)
    check_free(settings, files, record["job"])
    for path, picture in pictures.items():
        save_image(picture(), path, record=settings.record_for(record), overwrite=True)
    for path, text in texts.items():
        write_atomic(path, text, overwrite=True)
    record |= listed  # the list is long: it isn't repeated in every mask
    return files
