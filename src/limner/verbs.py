"""What the verbs are, said once: what each needs, which tasks it sets, what comes out of it.

Sessions, records, trackers, plans (``--dry-run``), suites and sweeps read this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum


class Picture(Enum):
    """The picture that a verb makes."""

    OVERLAY = "the input with what was found drawn in: the verb changes nothing"
    CUTOUT = "the object alone on transparency"
    EDIT = "the input, changed"


class Painting(Enum):
    """When a model paints."""

    NEVER = "never"
    FROM_WORDS = "where words say what is to be painted"
    ALWAYS = "always, from words or from what surrounds a hole"


@dataclass(frozen=True)
class Verb:
    """One verb of ``Session``, which has a method of the same name."""

    name: str
    output: Picture
    prompts: str = "find"
    """Its argument that holds the prompts; "" where it looks for nothing."""
    paints: str = ""
    """Its argument that says what is to be painted, if anything; "" where none does."""
    options: tuple[str, ...] = ()
    """Its arguments that hold options."""
    painting: Painting = Painting.NEVER
    detects: bool = False
    """It asks the detector whatever the prompts are."""
    outlines: bool = True
    """It needs outlines, and not boxes alone."""
    mask_as_drawn: bool = True
    """A mask that is given alone is the answer, and no hint to be refined."""
    hides_seam: bool = False
    """No border is to be seen where it painted; elsewhere one is wanted."""
    adds: bool = False
    """Something new comes into the picture."""
    looks_again: bool = False
    """It looks for what it found in its own result."""
    is_private: bool = False
    """What goes in is not to lie in a second place, nor to be named by what comes out."""
    takes_main_thing: bool = False
    """Without prompts it is about the main thing of the picture."""
    is_asked_in_suites: bool = False
    """Suites and sweeps can ask it."""

    @property
    def repaints(self) -> bool:
        """Whether a model fills what was found."""
        return self.painting is Painting.ALWAYS

    def tasks(
        self, *, by_words: bool, captioned: bool, from_words: bool, prompted: bool = True
    ) -> tuple[str, ...]:
        """The tasks whose models decide the answer: another painter doesn't change an outline.

        Args:
            by_words: a phrase or an example is looked for.
            captioned: a caption's phrases are.
            from_words: words say what is to be painted.
            prompted: there is any prompt.
        """
        if self.takes_main_thing and not prompted:
            return ("matte",)
        paints = self.repaints or (self.painting is Painting.FROM_WORDS and from_words)
        tasks = {
            "caption": captioned,
            "detect": self.detects or by_words or captioned,
            "segment": self.outlines,
            "inpaint": paints,
        }
        return tuple(task for task, is_needed in tasks.items() if is_needed)


def _by_name(verbs: Iterable[Verb]) -> Mapping[str, Verb]:
    return {verb.name: verb for verb in verbs}


VERBS = _by_name(
    [
        Verb(
            "detect",
            Picture.OVERLAY,
            prompts="prompts",
            detects=True,
            outlines=False,
            is_asked_in_suites=True,
        ),
        Verb(
            "segment",
            Picture.OVERLAY,
            prompts="prompts",
            options=("everything",),
            mask_as_drawn=False,
            is_asked_in_suites=True,
        ),
        Verb(
            "edit",
            Picture.EDIT,
            paints="paint",
            options=("inpaint", "edit"),
            painting=Painting.ALWAYS,
            hides_seam=True,
            adds=True,
            is_asked_in_suites=True,
        ),
        Verb(
            "remove",
            Picture.EDIT,
            options=("inpaint", "edit"),
            painting=Painting.ALWAYS,
            hides_seam=True,
            is_asked_in_suites=True,
        ),
        Verb("cutout", Picture.CUTOUT, options=("edit", "frame"), takes_main_thing=True),
        Verb(
            "background",
            Picture.EDIT,
            prompts="keep",
            paints="behind",
            options=("inpaint", "edit"),
            painting=Painting.FROM_WORDS,
            adds=True,
        ),
        Verb("redact", Picture.EDIT, options=("redact",), looks_again=True, is_private=True),
        Verb(
            "extend",
            Picture.EDIT,
            prompts="",
            paints="paint",
            options=("inpaint", "edit"),
            painting=Painting.ALWAYS,
            outlines=False,
            adds=True,
        ),
    ]
)
"""The verbs by name, in the order in which they are told."""
SUITE_VERBS = tuple(verb.name for verb in VERBS.values() if verb.is_asked_in_suites)
"""Verbs that a suite or a sweep can ask."""
