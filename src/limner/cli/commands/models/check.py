"""``limner models check``: a checkpoint held against the figures that were published for it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.errors import OptionError, OutputError, WeightsMissing

if TYPE_CHECKING:
    from limner.evaluation.published import Comparison, Figure
    from limner.registry.catalog import ModelEntry


def check(
    entry: ModelEntry, picture: Path | None, report: Path | None, overwrite: bool, device: str
) -> bool:
    """Ask, print a line for each figure, write the report; whether all passed.

    Raises:
        OptionError: no figures were published, or no picture was given.
        WeightsMissing: the model isn't here.
        ImageError: another picture than the figures'.
        OutputError: the report's place is taken.
    """
    from limner.evaluation.published import compare
    from limner.io.images import open_image
    from limner.registry import store
    from limner.session import Session

    published = _figures(entry)
    if picture is None:
        raise OptionError(
            f"The figures for {entry.name} are of {published[0].picture}, whose licence doesn't "
            "let it ship: fetch it, and name the file with --picture."
        )
    if not store.is_here(entry):
        raise WeightsMissing(store.missing(entry))
    if report and report.exists() and not overwrite:
        raise OutputError(f"{report} is there already: name another file, or give --overwrite.")
    store.verify(entry)
    opened = open_image(picture)
    session = Session(models={entry.task: entry.name}, device=device, dtype="float32")
    rows = compare(session.models, published, opened.image)
    for row in rows:
        click.echo(_line(row))
    passed = all(row.passed for row in rows)
    if report:
        from limner.io.save import write_atomic

        content = _report(entry, rows, picture, device, passed)
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        write_atomic(report, text.encode(), overwrite=overwrite)
        click.echo(f"Written to {report}; docs/checkpoints.md says where to send it.", err=True)
    return passed


def _figures(entry: ModelEntry) -> Sequence[Figure]:
    from limner.evaluation.published import figures

    known = figures()
    if entry.name not in known:
        verify = "" if entry.weightless else f"; `limner models info {entry.name} --verify` holds "
        hashes = "" if entry.weightless else "its files against their hashes"
        raise OptionError(
            f"No figures for {entry.name} are known here, there are for {', '.join(known)}"
            f"{verify}{hashes}."
        )
    return known[entry.name]


def _line(row: Comparison) -> str:
    expected = row.figure.says or _numbers(row.figure.expected)
    came = row.answer if isinstance(row.answer, str) else _numbers(row.answer)
    if row.difference is not None:
        came += f" (off by {row.difference:.4f}, {row.figure.tolerance:g} allowed)"
    return f"{'pass' if row.passed else 'FAIL'}  {row.figure.question}: {expected} -> {came}"


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values) or "nothing"


def _report(
    entry: ModelEntry, rows: Sequence[Comparison], picture: Path, device: str, passed: bool
) -> Mapping[str, Any]:
    """What somebody else needs to believe it: files, versions, numbers."""
    from limner.registry import store

    locked = store.locked(entry)
    return {
        "model": entry.name,
        "repository": entry.repo,
        "commit": locked.commit if locked else None,
        "files": {path: mark.sha256 for path, mark in locked.files.items()} if locked else {},
        "picture_sha256": hashlib.sha256(picture.read_bytes()).hexdigest(),
        "passed": passed,
        "figures": [row.to_dict() for row in rows],
        "device": device,
        "dtype": "float32",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("limner", "torch", "transformers")},
        },
        "machine": f"{platform.system()} {platform.machine()}",
    }
