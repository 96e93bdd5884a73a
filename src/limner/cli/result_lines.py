"""The line or the JSON object of a result, new or done before."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.console import JPEG_NOTE, listed, say, say_json, second_look
from limner.cli.fitting import columns, fitted, wrapped
from limner.cli.object_lines import say_json_objects, say_objects
from limner.verbs import VERBS

if TYPE_CHECKING:
    from limner.cli.batch.resume import Stored
    from limner.cli.batch.settings import Settings
    from limner.session import Run


def say_run(
    settings: Settings,
    run: Run,
    path: Path,
    outputs: Sequence[Path],
    seconds: float,
    record: Mapping[str, Any],
) -> None:
    """One run's line, or its JSON object."""
    if settings.as_json:
        _say_json(record, outputs, _finds(run, path, outputs))
        return
    if settings.json_objects:
        say_json_objects(path, _finds(run, path, outputs), outputs)
        return
    facts = [*_facts(settings, run, outputs, record), f"{seconds:.1f} s"]
    where = str(outputs[-1]) if outputs and not settings.is_streamed else str(path)
    models = ", ".join(model["name"] for model in record["models"])
    width = columns()
    for line in fitted(where, facts, f"({models})" if models else "", width):
        say(line)
    if len(outputs) > 1 and settings.lists_all:
        for line in wrapped(f"also {', '.join(_companions(outputs))}", width):
            say(line)
    if dropped := record["result"].get("dropped"):
        from limner.pipeline.dropped import dropped_sentence

        for line in wrapped(dropped_sentence(dropped, as_flags=True), width):
            say(line)
    if "caption" in record["result"]:
        phrases = ", ".join(record["result"]["phrases"])
        looked = f"looked for {phrases}" if phrases else "it names nothing to look for"
        say(f"  “{record['result']['caption']}”: {looked}")
    if settings.lists_objects:
        say_objects(_finds(run, path, outputs))


def _facts(
    settings: Settings, run: Run, outputs: Sequence[Path], record: Mapping[str, Any]
) -> list[str]:
    """What came of a run, in order."""
    count = len(run.grounding)
    facts = [f"{count} object{'s' if count > 1 else ''}"] if count else []
    facts += _shortfall(record["result"]) or ([] if count else ["nothing found"])
    facts += [caveat] if (caveat := record["result"].get("caveat")) else []
    if outputs and not count and settings.copy_unchanged:
        facts.append("copied as it is, not checked by anybody")
    if run.edits:
        edit = run.edits[0]
        facts.append(f"{_share(edit.mask_coverage)} of the picture repainted")
        if JPEG_NOTE in record["notes"]:
            facts.append(JPEG_NOTE.rstrip("."))
        elif record.get("lost"):
            facts.append("; ".join(record["lost"]))
        else:
            facts.append(f"{edit.outside_changed_pixels} pixels changed outside the mask")
        if VERBS[settings.verb].hides_seam:  # elsewhere a border is wanted
            facts.append(f"seam {edit.seam:.3f}")
        if edit.seed is not None:  # also where limner drew it
            last = f" to {run.edits[-1].seed}" if len(run.edits) > 1 else ""
            facts.append(f"seed{'s' if last else ''} {edit.seed}{last}")
    if run.redaction:
        facts += second_look(record["result"])
    return facts


def _share(part: float) -> str:
    """0..1 as a percentage; what is there is never 0%."""
    return f"{part:.1%}" if part >= 0.001 else f"{part:.4%}"


def _companions(outputs: Sequence[Path]) -> list[str]:
    """The files of a result besides the last: names beside it, and how many lie in a folder."""
    folder = outputs[-1].parent
    others = outputs[-2::-1]
    inside = Counter(path.parent.name for path in others if path.parent != folder)
    return [
        *(path.name for path in others if path.parent == folder),
        *(f"{count} file{'s' if count > 1 else ''} in {name}" for name, count in inside.items()),
    ]


def _shortfall(result: Mapping[str, Any]) -> list[str]:
    """What was asked for and isn't there, and what was hidden otherwise than asked."""
    facts = []
    if missing := result.get("not_found", ()):
        facts.append(f"nothing found for {listed(missing)}")
    if covered := result.get("covered_by_box", ()):
        facts.append(f"the box hidden where an outline was empty: {listed(covered)}")
    return facts


def _finds(run: Run, path: Path, outputs: Sequence[Path]) -> Mapping[str, Any]:
    """COCO's annotations and categories: those of the file that was written, if it lists them."""
    from limner.io import coco as export

    if outputs and outputs[0].suffix == ".json":
        rows = json.loads(outputs[0].read_bytes())
        return {key: rows[key] for key in ("annotations", "categories")}
    item = (path.name, run.source.image.size, run.grounding.detections)
    rows = export.coco([item], export.asked_names(run.grounding.prompts))
    return {key: rows[key] for key in ("annotations", "categories")}


def say_kept(settings: Settings, image: Path, finished: Path, result: Stored) -> None:
    """The line of a result that was there already, or its JSON object as when it was made."""
    if settings.as_json:
        _say_json(result.record, result.files(finished), result.finds)
    elif settings.json_objects:
        say_json_objects(image, result.finds, result.files(finished))
    else:
        say(fitted(str(finished), ["done already"], "", columns())[0])
        if settings.lists_objects:
            say_objects(result.finds)


def say_nothing_again(settings: Settings, path: Path, job: str) -> None:
    """The line of a picture in which a run before found nothing, or its JSON object."""
    if settings.as_json:
        say_json({"job": job, "verb": settings.verb, "result": {"objects": 0}, "outputs": []})
    else:
        say(f"{path}  nothing found before")


def _say_json(record: Mapping[str, Any], outputs: Sequence[Path], finds: Mapping[str, Any]) -> None:
    say_json({**record, "outputs": [str(output) for output in outputs], **finds})
