"""What is asked, as a suite says it: ``{find: mug}``, ``{edit: {find: car, paint: a red van}}``.

A thing to be found is a phrase, or a mapping of what ``limner segment`` takes as flags (text, not,
points, box, mask, exemplar), or a list of such things.
"""

from __future__ import annotations

from typing import Any

from limner.errors import PromptError
from limner.evaluation.cells.cell import OWN, Ask
from limner.evaluation.cells.config_nodes import ConfigNode
from limner.prompts import Text
from limner.prompts.syntax import Draft, parse_objects
from limner.verbs import SUITE_VERBS, VERBS

VERB_KEYS = {"find": "segment", "segment": "segment", **{verb: verb for verb in SUITE_VERBS}}
"""Key in a suite -> verb; ``find`` says it as an edit's own key does."""

THING_KEYS = (
    "text",
    "not",
    "point",
    "points",
    "box",
    "mask",
    "exemplar",
    "like",
    "not_like",
    "label",
)
EDIT_KEYS = ("find", "paint", "negative_prompt")


def read_prompt(spot: ConfigNode, template: ConfigNode) -> Ask:
    """An entry of ``prompts``, filled in for a case.

    Args:
        template: the same entry as it stands there, which names the column.
    """
    column = label_of(template)
    if not spot.is_mapping:
        return _ask("find", spot, column)
    entry = spot.mapping("A prompt", (*VERB_KEYS, "label"))
    verbs = [key for key in entry if key in VERB_KEYS]
    if len(verbs) != 1:
        spot.fail(
            f"A prompt has one of {', '.join(VERB_KEYS)}; got {' and '.join(verbs) or 'none'}."
        )
    return _ask(verbs[0], entry[verbs[0]], column)


def read_own(entry: dict[str, ConfigNode], spot: ConfigNode) -> Ask | None:
    """A case's own verb, where it has one."""
    verbs = [key for key in entry if key in VERB_KEYS]
    if len(verbs) > 1:
        spot.fail(f"A case has one verb of its own at most; got {' and '.join(verbs)}.")
    return _ask(verbs[0], entry[verbs[0]], OWN) if verbs else None


def label_of(spot: ConfigNode) -> str:
    """The name of a prompt's column: its label, or what it says."""
    prompt = spot.plain()
    if isinstance(prompt, dict) and "label" in prompt:
        return str(prompt["label"])
    return _in_words(prompt) if isinstance(prompt, dict) else f"find {_in_words(prompt)}"


def label_of_find(thing: Any) -> str:
    """What a thing to be found is called: its phrase, or how it is pointed at."""
    return _in_words(thing)


def read_verb(key: str, body: ConfigNode) -> Ask:
    """What a key of ``VERB_KEYS`` asks."""
    return _ask(key, body, OWN)


def _ask(key: str, body: ConfigNode, column: str) -> Ask:
    label = f"{key} {_in_words(body.plain())}"
    if not VERBS[VERB_KEYS[key]].paints:
        return Ask(VERB_KEYS[key], _things(body), None, label, column)
    entry = body.mapping("An edit", EDIT_KEYS)
    for needed in ("find", "paint"):
        if needed not in entry:
            body.fail(f"An edit has find and paint; {needed} is missing.")
    negative = (
        entry["negative_prompt"].text("negative_prompt") if "negative_prompt" in entry else ""
    )
    paint = Text(entry["paint"].text("paint"), negative)
    return Ask(VERB_KEYS[key], _things(entry["find"]), paint, label, column)


def _things(spot: ConfigNode) -> tuple[Draft, ...]:
    pairs: list[tuple[str, str]] = []
    for thing in spot.items("What is to be found"):
        if pairs:
            pairs.append(("object", ""))
        pairs += _parts(thing)
    try:
        return parse_objects(pairs)
    except PromptError as error:
        spot.fail(error)


def _parts(thing: ConfigNode) -> list[tuple[str, str]]:
    """One thing as the pairs that ``prompts.syntax.parse_objects`` takes."""
    if not thing.is_mapping:
        return [("text", thing.text("What is to be found"))]
    entry = thing.mapping("A thing to find", THING_KEYS)
    if not entry:
        thing.fail(f"A thing to find has one of {', '.join(THING_KEYS)}.")
    parts = []
    for key, value in entry.items():
        if key in ("mask", "exemplar"):  # files lie beside the suite
            parts.append((key, str(value.path.parent / value.text(key))))
        elif key == "points":
            parts += [("point", _numbers(point, "A point")) for point in value.items("points")]
        elif key in ("like", "not_like"):
            several = value.is_list and any(item.is_list for item in value.items(key))
            boxes = value.items(key) if several else [value]
            parts += [(key, _numbers(box, "An example box")) for box in boxes]
        elif key in ("point", "box"):
            parts.append((key, _numbers(value, f"A {key}")))
        else:
            parts.append((key, value.text(key)))
    return parts


def _numbers(spot: ConfigNode, what: str) -> str:
    """``[350, 450]`` or ``"350,450"`` as typed; a point's third item is ``bg``."""
    if not spot.is_list:
        return spot.text(what)
    words = [str(item.text(what)) for item in spot.items(what)]
    if what == "A point" and len(words) == 3:
        return f"{words[0]},{words[1]}:{words[2]}"
    return ",".join(words)


def _in_words(prompt: Any) -> str:
    """For people: ``edit car → a red van``."""
    if isinstance(prompt, dict):
        if set(prompt) & {"paint"}:
            return f"{_in_words(prompt.get('find', ''))} → {prompt['paint']}"
        return ", ".join(_word(key, value) for key, value in prompt.items())
    if isinstance(prompt, list):
        numbers = all(isinstance(item, int | float) for item in prompt)
        return (",".join if numbers else " + ".join)(_in_words(item) for item in prompt)
    return str(prompt)


def _word(key: str, value: Any) -> str:
    return _in_words(value) if key == "text" else f"{key} {_in_words(value)}"
