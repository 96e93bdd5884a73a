"""Saving a subject: the adapter or the whole model, and a card that says how it was made."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import OptionError, OutputError
from limner.io.save import save_image, write_atomic
from limner.options import changed
from limner.registry.subjects import ADAPTER, WHOLE, Subject, write_card
from limner.training import merge
from limner.version import __version__

if TYPE_CHECKING:
    from limner.training.dreambooth import TeachConfig, TrainingResult

PEOPLE = frozenset(
    "person man woman boy girl child kid baby toddler human face people guy lady actor actress "
    "singer politician player teacher student doctor nurse bride groom couple".split()
)
CONSENT = "The person shown has agreed to this; whoever taught it said so with --i-have-consent."
FORMAT = 1


def check_consent(noun: str, given: bool) -> None:
    """Ask that a person shown has agreed.

    Raises:
        OptionError: the class is a person and nobody said so.
    """
    if not given and set(noun.split()) & PEOPLE:
        raise OptionError(
            f"The class is {noun!r}, a person: whoever is shown must have agreed. "
            "--i-have-consent (in Python consent=True) says so, and stays on the card."
        )


def finish(
    name: str, folder: Path, config: TeachConfig, result: TrainingResult, *, consent: bool
) -> Subject:
    """Write the subject into its folder; the card comes last and says that all is there.

    Raises:
        OutputError: no room, or no permission.
    """
    if config.options.method == "lora":
        data = (result.checkpoint / ADAPTER).read_bytes()
        write_atomic(folder / ADAPTER, data, overwrite=True)
        weights = hashlib.sha256(data).hexdigest()
    else:
        try:
            merge.save_taught(config.model, result.checkpoint, folder / WHOLE)
        except OSError as error:
            raise OutputError(f"{folder / WHOLE} can't be written: {error}.") from error
        weights = None
    thumbnails = []
    for k, photograph in enumerate(result.photographs.usable):
        path = folder / "thumbnails" / f"{k:02}.jpg"
        small = photograph.image.copy()
        small.thumbnail((128, 128))
        save_image(small, path, overwrite=True)
        thumbnails.append(path.relative_to(folder).as_posix())
    card = _card(name, config, result, consent, weights, thumbnails)
    write_card(folder, card)
    return Subject(name, folder, card)


def _card(
    name: str,
    config: TeachConfig,
    result: TrainingResult,
    consent: bool,
    weights: str | None,
    thumbnails: list[str],
) -> dict[str, Any]:
    options = config.options
    base = result.base
    return {
        "format": FORMAT,
        "name": name,
        "base": {**base.ref.to_dict(), "digest": base.digest, "asked_for": config.model},
        "kind": "inpainting" if base.inpaints else "text to image",
        "xl": base.is_xl,
        "identifier": result.naming.identifier,
        "class": result.naming.noun,
        "called": result.naming.called,
        "instance_prompt": options.instance_prompt,
        "class_prompt": options.class_prompt,
        "captions": dict(result.captions),
        "class_images": result.class_images,
        "photographs": {photo.name: photo.digest for photo in result.photographs.usable},
        "method": options.method,
        "rank": options.rank if options.method == "lora" else None,
        "steps": result.step,
        "side": result.side,
        "options": changed(options),
        "licence": base.ref.licence,
        "consent": CONSENT if consent else None,
        "warnings": list(result.notes),
        "sha256": weights,
        "thumbnails": thumbnails,
        "limner": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
