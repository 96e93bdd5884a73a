"""What comes of asking many sessions: a comparison, a suite that was run, a sweep; each can be
looked at in a notebook and saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import OptionError
from limner.io.save import save_image
from limner.pages import render
from limner.pipeline import notebook

if TYPE_CHECKING:
    import supervision as sv
    from PIL.Image import Image

PAGE_HEIGHT = 560
"""Pixels of a suite's page below a cell; it scrolls."""


@dataclass(frozen=True, repr=False)
class Compared:
    """What several models answered to one question.

    ``image`` shows the answers side by side; ``models`` are the rows of the table: name, task,
    licence, boxes (label, xyxy, score), seconds, memory, or the ``error`` of one that couldn't
    answer. ``detections`` are those of the models that could, by name.
    """

    image: Image
    question: Sequence[Mapping[str, Any]]
    models: Sequence[Mapping[str, Any]]
    detections: Mapping[str, sv.Detections]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        parts = [f"{row['name']}: {_outcome(row)}" for row in self.models]
        return f"Compared({', '.join(parts)})"

    def _repr_png_(self) -> bytes:
        return notebook.png_of(self.image)

    def _repr_html_(self) -> str:
        cells = [
            (row["name"], _outcome(row), _seconds(row["seconds"]), row["licence"])
            for row in self.models
        ]
        columns = ("model", "found", "seconds", "licence")
        return notebook.table_html(repr(self), [self.image], columns, cells)

    def show(self) -> None:
        """Show the answers side by side."""
        notebook.show_picture(self.image)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the picture, with the question and all answers as its record.

        Raises:
            OutputError: the place is taken or can't be written, or the format can't hold it.
        """
        record = {"verb": "compare", "prompts": list(self.question), "models": list(self.models)}
        return save_image(self.image, path, record=record, overwrite=overwrite)


@dataclass(frozen=True, repr=False)
class Evaluated:
    """A suite of prompt tests that was run.

    ``report`` is what ``report.json`` holds, ``failed`` whether a cell didn't pass (with a
    baseline: whether one is worse), ``pictures`` the folder of the cells' pictures.
    """

    report: Mapping[str, Any]
    failed: bool
    pictures: Path

    @property
    def cells(self) -> list[Mapping[str, Any]]:
        """Each with its case, model, status, score and the verdict of each assertion."""
        return list(self.report["cells"])

    @property
    def html(self) -> str:
        """The page: a matrix of cases by models and prompts, with the pictures in it."""
        from limner.evaluation.suites.html import report_html

        return report_html(self.report, self.pictures)

    def __repr__(self) -> str:
        stats = self.report["stats"]
        parts = [f"{stats[status]} {status}" for status in ("pass", "fail", "error")]
        return f"Evaluated({len(self.cells)} cells: {', '.join(parts)})"

    def _repr_html_(self) -> str:
        return render("notebook_page", line=repr(self), page=self.html, height=PAGE_HEIGHT)

    def save(self, path: str | Path) -> Path:
        """Write the report in the format of its ending: .html, .json, .csv, .xml (JUnit); an
        older one is replaced.

        Raises:
            OutputError: another ending, or it can't be written.
        """
        from limner.session.suites import check_formats, write_report

        path = Path(path)
        check_formats([path])
        write_report(path, dict(self.report), self.pictures)
        return path


@dataclass(frozen=True, repr=False)
class Swept:
    """A sweep as far as it came.

    ``folder`` holds all that was written (``index.html``), ``report`` is its ``results.json``,
    ``sheets`` the contact sheets.
    """

    folder: Path
    report: Mapping[str, Any]
    sheets: tuple[Path, ...]

    @property
    def trials(self) -> list[Mapping[str, Any]]:
        """Each with its settings, its score, and of each picture the measures and any error."""
        return list(self.report["trials"])

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The trial that scored best; None where nothing scores."""
        trials = (trial for trial in self.trials if trial["number"] == self.report["best"])
        return next(trials, None)

    @property
    def image(self) -> Image:
        """The first contact sheet.

        Raises:
            OptionError: no picture was made.
        """
        if not self.sheets:
            raise OptionError(f"This sweep made no picture: {self.folder / 'index.html'} says why.")
        return self.images[0]

    @property
    def images(self) -> list[Image]:
        """The contact sheets."""
        from limner.io.images import open_image

        return [open_image(path).image for path in self.sheets]

    def __repr__(self) -> str:
        best = self.best
        line = f"{len(self.trials)} settings tried"
        if best is not None:
            titles = [axis["title"] for axis in self.report["axes"]]
            settings = map(" ".join, zip(titles, best["labels"], strict=True))
            line += f", best {', '.join(settings)} with {self.report['objective']} "
            line += f"{best['score']:.4g}"
        return f"Swept({line})"

    def _repr_png_(self) -> bytes | None:
        return notebook.png_of(self.image) if self.sheets else None

    def _repr_html_(self) -> str:
        columns = [axis["title"] for axis in self.report["axes"]]
        rows = [
            (*trial["labels"], "" if trial["score"] is None else f"{trial['score']:.4g}")
            for trial in self.trials[: notebook.MOST_ROWS]
        ]
        return notebook.table_html(repr(self), self.images, (*columns, "score"), rows)

    def show(self) -> None:
        """Show the first contact sheet."""
        notebook.show_picture(self.image)


def _outcome(row: Mapping[str, Any]) -> str:
    if row["error"]:
        return str(row["error"]).split(". ")[0].rstrip(".")
    count = len(row["boxes"])
    return f"{count} object{'' if count == 1 else 's'}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"
