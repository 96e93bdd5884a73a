"""A verb's arguments as JSON, and back: what makes a run replayable.

Pictures among the arguments (examples, a background) aren't put into the JSON; they become files of
the run, by name.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from limner.errors import StoreError
from limner.io.save import png
from limner.ops.selection import Selection
from limner.options import (
    DetectOptions,
    SegmentOptions,
    from_dict,
)
from limner.pipeline import background
from limner.pipeline.extend import Extension
from limner.prompts import Text, VisualPrompt
from limner.runs.entries import BACKDROP, EXEMPLAR
from limner.session.call import OPTIONS
from limner.session.results import FindOptions

Keep = Callable[[str, bytes], str]
"""Takes a role and a PNG, keeps it and returns its name."""


@dataclass(frozen=True)
class Call:
    """What a verb was given besides the image. ``settings`` are its further arguments by name."""

    prompts: tuple[VisualPrompt, ...]
    finding: FindOptions
    settings: Mapping[str, Any]

    def to_dict(self, keep: Keep) -> dict[str, Any]:
        """JSON values; pictures go to ``keep``."""
        return {
            "prompts": [_prompt_to_dict(prompt, keep) for prompt in self.prompts],
            "finding": self.finding.to_dict(),
            "settings": {
                name: _setting_to_dict(name, value, keep) for name, value in self.settings.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], load: Callable[[str], bytes]) -> Call:
        """Inverse of ``to_dict``.

        Raises:
            StoreError: it isn't what ``to_dict`` makes, such as a setting of a newer limner.
            PromptError, OptionError: a prompt or a setting that can't be meant.
        """
        try:
            finding = data["finding"]
            return cls(
                tuple(_prompt_from_dict(prompt, load) for prompt in data["prompts"]),
                FindOptions(
                    from_dict(DetectOptions, finding["detect"]),
                    from_dict(SegmentOptions, finding["segment"]),
                    tuple(
                        Selection(choice["name"], tuple(choice["numbers"]), choice["count"])
                        for choice in finding["select"]
                    ),
                ),
                {
                    name: _setting_from_dict(name, value, load)
                    for name, value in data["settings"].items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"The record of the call can't be understood ({error!r}).") from error


def words_of(call: Call) -> str:
    """What was asked for, in a few words: the phrases, or how the things were shown."""
    things = [prompt.text.phrase if prompt.text else prompt.class_name for prompt in call.prompts]
    if "everything" in call.settings:
        things.append("everything")
    if "what_is_here" in call.settings:
        things.append("what is here")
    if "extension" in call.settings:
        sides = call.settings["extension"].to_dict()
        things.append(" ".join(f"{side}+{length}" for side, length in sides.items()))
    short = ", ".join(dict.fromkeys(things))
    paint = call.settings.get("paint") or call.settings.get("behind")
    if isinstance(paint, Text):
        return f"{short} → {paint.phrase}"
    return f"{short} → {next(iter(paint.to_dict()))}" if paint else short


def _prompt_to_dict(prompt: VisualPrompt, keep: Keep) -> dict[str, Any]:
    described = prompt.to_dict()
    if "exemplar" in described:
        described["exemplar"]["file"] = keep(
            EXEMPLAR, base64.b64decode(described["exemplar"].pop("png"))
        )
    return described


def _prompt_from_dict(data: Mapping[str, Any], load: Callable[[str], bytes]) -> VisualPrompt:
    described = dict(data)
    if "exemplar" in described:
        encoded = base64.b64encode(load(described["exemplar"]["file"])).decode("ascii")
        described["exemplar"] = {"png": encoded, "box": described["exemplar"]["box"]}
    return VisualPrompt.from_dict(described)


def _setting_to_dict(name: str, value: Any, keep: Keep) -> Any:
    if name == "verify":
        return [_prompt_to_dict(prompt, keep) for prompt in value]
    if isinstance(value, Text):
        return {"text": value.to_dict()}
    if isinstance(value, background.Picture):
        return {"picture": value.digest, "file": keep(BACKDROP, png(value.image))}
    if name in OPTIONS:
        return asdict(value)
    if isinstance(value, bool):
        return value
    return value.to_dict()


def _setting_from_dict(name: str, value: Any, load: Callable[[str], bytes]) -> Any:
    if name in OPTIONS:
        return from_dict(OPTIONS[name], value)
    if isinstance(value, bool):
        return value
    if name == "extension":
        return Extension.from_dict(value)
    if name == "verify":
        return tuple(_prompt_from_dict(prompt, load) for prompt in value)
    if "text" in value:
        return Text(**value["text"])
    if "blur" in value:
        return background.Blur(value["blur"])
    if "colour" in value:
        return background.Colour(value["colour"])
    from limner.io import images

    opened = images.open_image(load(value["file"]), max_pixels=images.MAX_PIXELS * 10)
    return background.Picture(opened.image, value["picture"])
