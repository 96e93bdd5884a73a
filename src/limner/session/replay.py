"""A run done again from its record, and held against what came out the first time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image as pil

from limner.errors import StoreError
from limner.io import images
from limner.options import InpaintOptions
from limner.runs import private
from limner.runs.diff import pixels_between
from limner.runs.entries import DONE, INPUT, MASK, OUTPUTS, PICTURE, Labels, RunEntry
from limner.runs.record import RunRecord
from limner.session import generated
from limner.session.artifacts import Output, outputs_of
from limner.session.call_json import Call
from limner.session.generated import Generated
from limner.session.moved_input import find_moved
from limner.session.results import Run, Source
from limner.session.verb_session import VerbSession
from limner.verbs import VERBS

if TYPE_CHECKING:
    from limner.runs.store import Store


@dataclass(frozen=True)
class Replay:
    """A run done again.

    ``differing`` holds, for each picture and mask by its role and position, the pixels in which any
    channel differs; one that is missing on either side, or has another size, differs everywhere.
    """

    original: RunEntry
    run: Run | Generated
    differing: Mapping[str, int]
    same_finds: bool
    """Whether the COCO JSON is the same, to the last digit of each score."""
    changed: tuple[str, ...]
    """Sentences: what isn't as it was then, such as a package's version."""

    @property
    def pixels(self) -> int:
        return sum(self.differing.values())


def replay(
    store: Store,
    name: str,
    *,
    record: bool = True,
    inputs: Sequence[Path] = (),
    say: Callable[[str], None] | None = None,
) -> Replay:
    """Do a run again.

    Args:
        name: what ``Store.get`` takes.
        record: record the second run too, with the first as its parent.
        inputs: where to look for an input that the store hasn't got, see ``input_of_entry``.

    Raises:
        StoreError: no such run, one that was never done, or its input is gone.
        LimnerError: what the verb itself raises.
    """
    entry = store.get(name)
    if entry.row.status != DONE:
        raise StoreError(
            f"Run {entry.id} {_ENDED.get(entry.row.status, entry.row.status)}: only a run that was "
            "done can be replayed and compared."
        )
    if entry.row.verb not in (*VERBS, generated.VERB):
        raise StoreError(f"Run {entry.id} is a {entry.row.verb}: this limner can't replay that.")
    if entry.row.verb == generated.VERB:
        pictures = generated.again(_session_of(entry, store if record else None, say), entry)
        return _compared(store, entry, pictures, generated.outputs_of(pictures))
    call = Call.from_dict(entry.asked, store.files.load)
    session = _session_of(entry, store if record else None, say)
    arguments = dict(call.settings)
    if entry.row.seed is not None:  # the one that was drawn, if none was given
        arguments["inpaint"] = _seeded(arguments.get("inpaint"), entry.row.seed)
    verb: Callable[..., Run] = getattr(session, entry.row.verb)
    source = input_of_entry(store, entry, inputs, say)
    if not VERBS[entry.row.verb].prompts:  # it looks for nothing
        run = verb(source, **arguments)
    else:
        positional = [arguments.pop(each) for each in ("paint", "behind") if each in arguments]
        run = verb(
            source, list(call.prompts) or None, *positional, finding=_finding(call), **arguments
        )
    return _compared(store, entry, run, outputs_of(run))


def _compared(
    store: Store, entry: RunEntry, run: Run | Generated, outputs: Iterable[Output]
) -> Replay:
    differing, same_finds = _differing(store, entry, outputs)
    return Replay(entry, run, differing, same_finds, tuple(_changed(entry, run.record)))


def _session_of(
    entry: RunEntry, store: Store | None, say: Callable[[str], None] | None
) -> VerbSession:
    """A session with the models that answered then; its runs have the entry as their parent."""
    settings = entry.asked.get("session", {})
    try:
        return VerbSession(
            profile=settings["profile"],
            models=settings["models"],
            commercial_safe=settings["commercial_safe"],
            device=settings["device"],
            dtype=settings["dtype"],
            subjects=settings.get("subjects"),
            fast=settings.get("fast", False),
            say=say,
            store=store,
            labels=Labels(tags=entry.labels.tags, parent=entry.id),
        )
    except KeyError:
        raise StoreError(f"Run {entry.id} doesn't say which models were asked.") from None


_ENDED = {"failed": "failed", "died": "died before it was done", "running": "is still going on"}


def input_of_entry(
    store: Store,
    entry: RunEntry,
    inputs: Sequence[Path] = (),
    say: Callable[[str], None] | None = None,
) -> Source:
    """A run's input as it was opened then: the copy, or the file with the same content, wherever it
    lies by now.

    Args:
        inputs: files or folders to look in, before where it lay, the folder that the store lies in
            and the working folder.
        say: told where it was found, if not where it lay.

    Raises:
        StoreError: it isn't found.
    """
    width, height = entry.record["input"]["size_wh"]
    path = (
        entry.row.input_path if entry.row.verb in private.VERBS else entry.record["input"]["path"]
    )
    notes = tuple(entry.asked.get("notes", ()))
    most = max(width * height, images.MAX_PIXELS)
    lost = "wasn't copied"
    for copy in entry.of_role(INPUT):
        try:
            opened = images.open_image(store.files.load(copy.name), max_pixels=most)
        except StoreError:
            lost = "is missing in the store"
            continue
        return Source(opened.image, entry.input_digest, path, notes, opened.raster)
    where = Path(entry.row.input_path or "picture")
    database = store.location.database
    roots = [*((database.parent.parent, database.parent) if database else ()), Path()]
    place = find_moved(entry.input_digest, where, list(dict.fromkeys(roots)), inputs)
    if place is None:
        there = ", which is another picture by now" if where.is_file() else ""
        raise StoreError(
            f"The input of run {entry.id} {lost}, and isn't at {where}{there}, nor found by its "
            "content in the store's folder or this one: name the file or its folder with --inputs."
        )
    if place != where and say:
        say(f"The input of run {entry.id[:8]} lies at {place} by now.")
    opened = images.open_image(place, max_pixels=most)
    return Source(opened.image, entry.input_digest, path, notes, opened.raster)


def _finding(call: Call) -> Any:
    """Everything mode takes no settings for finding, not even the usual ones in another form."""
    return None if "everything" in call.settings else call.finding


def _seeded(given: InpaintOptions | None, seed: int) -> InpaintOptions:
    return replace(given or InpaintOptions(), seed=seed)


def _differing(
    store: Store, entry: RunEntry, outputs: Iterable[Output]
) -> tuple[dict[str, int], bool]:
    before = {(f.role, f.position): f.name for f in entry.files if f.role in OUTPUTS}
    after = {(o.role, o.position): o.data for o in outputs}
    differing, same_finds = {}, True
    for role, position in sorted({*before, *after}):
        old, new = before.get((role, position)), after.get((role, position))
        old_data = store.files.load(old) if old is not None else None
        if role not in (PICTURE, MASK):
            same_finds = same_finds and old_data == new
            continue
        one, other = (_opened(data) for data in (old_data, new))
        here = one or other
        assert here is not None  # the key came from one of the two
        pixels = pixels_between(one, other) if one and other else here.width * here.height
        differing[f"{role} {position}"] = pixels
    return differing, same_finds


def _opened(data: bytes | None) -> pil.Image | None:
    if data is None:
        return None
    picture = pil.open(io.BytesIO(data), formats=["PNG"])
    picture.load()
    return picture


def _changed(entry: RunEntry, record: RunRecord) -> Sequence[str]:
    """What isn't as it was, of what can change a picture."""
    then, now = entry.record, record.to_dict()
    changes = []
    for model_then, model_now in zip(then["models"], now["models"], strict=False):
        for key in ("name", "revision", "files"):
            if model_then.get(key) != model_now.get(key):
                changes.append(f"{model_then['name']}: its {key} changed")
    for key in ("machine", "limner"):
        if then.get(key) != now.get(key):
            changes.append(f"{key}: {then.get(key)} then, {now.get(key)} now")
    versions = {**then["versions"], **now["versions"]}
    for package in sorted(versions):
        pair = then["versions"].get(package), now["versions"].get(package)
        if pair[0] != pair[1]:
            changes.append(f"{package}: {pair[0]} then, {pair[1]} now")
    return changes
