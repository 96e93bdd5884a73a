"""What a sweep's folder says of it, besides the journal of its cells: ``sweep.json``."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from limner.errors import FileError, FileMissing, OutputError
from limner.io.save import write_atomic
from limner.untrusted.json_toml import read_json_object

STATE = "sweep.json"
FORMAT = 1


@dataclass(frozen=True)
class State:
    """A sweep that was begun."""

    id: str
    """By which its runs are found in the store."""
    batch: int
    """Points that are proposed at once: another number would be another search."""
    told: Mapping[str, int] = field(default_factory=dict)
    """Ratings that the search has learned from, by key of the cell: a run that is rated anew later
    must not change what was proposed before."""
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        write_atomic(folder / STATE, json.dumps(asdict(self), indent=1) + "\n", overwrite=True)


def new_state(batch: int) -> State:
    return State(secrets.token_hex(8), batch)


def read_state(folder: Path) -> State | None:
    """None where no sweep was begun.

    Raises:
        OutputError: what lies there is none of ours.
    """
    path = folder / STATE
    try:
        state = State(**read_json_object(path))
        whole = isinstance(state.id, str) and isinstance(state.batch, int) and state.batch > 0
        if not whole or not isinstance(state.told, dict):
            raise ValueError(path)
    except FileMissing:
        return None
    except (FileError, ValueError, TypeError):
        raise OutputError(
            f"{path} is no sweep's of this limner: take another --out, or --overwrite."
        ) from None
    if state.format > FORMAT:
        raise OutputError(f"{path} was written by a newer limner.")
    return state
