"""Find it by name, blur it, look again (the course's privacy blur).

The last step is the one that a blur by hand leaves out: the detector that found the thing looks at
the result. Pictures with boxes and pictures without are saved apart, side by side in one panel.
"""

from __future__ import annotations

from lesson import EXAMPLES, begin, sheet

from limner import RedactOptions, Session, Text, VisualPrompt
from limner.io.save import save_image
from limner.ops.overlay import overlay

lesson = begin(__doc__, "05_privacy")
# The minis know drawn things only; faces in photographs are for the classical detector, without
# weights, or for a real checkpoint.
if lesson.profile == "mini":
    JOBS = {
        "car": (lesson.session, EXAMPLES / "scenes" / "planks.png"),
        "face": (Session(), EXAMPLES / "photos" / "astronaut.png"),
    }
else:
    JOBS = {"human face": (lesson.session, EXAMPLES / "photos" / "astronaut.png")}

for words, (session, path) in JOBS.items():
    who = [VisualPrompt(text=Text(words))]
    for style in ("blur", "pixelate", "solid"):
        run = session.redact(path, who, redact=RedactOptions(style=style))
        if run.redaction is None:
            raise SystemExit(f"No {words} was found in {path.name}: nothing is hidden.")
        edit = run.edits[0]
        verdict = {True: "not found again", False: "STILL FOUND", None: "not looked for"}
        print(
            f"{words}, {style}: {len(run.grounding)} found, {verdict[run.redaction.verified]}, "
            f"{edit.outside_changed_pixels} pixels changed outside"
        )
        boxes = overlay(run.source.image, run.grounding.detections)
        panel = sheet([[run.source.image, boxes, edit.image]], ["raw", "boxes", style], side=256)
        panel.save(lesson.out / f"{words.replace(' ', '-')}-{style}-panel.png")
        if run.redaction.verified:  # what the check refuses is not handed out
            target = lesson.out / f"{words.replace(' ', '-')}-{style}.png"
            save_image(edit.image, target, record=run.record.to_dict(), overwrite=True)
print(f"\nPictures: {lesson.out}")
