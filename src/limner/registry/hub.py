"""Fetching from the Hugging Face hub: what there is, which files of it, and why it was refused.

The client is huggingface_hub's own. Since its 1.18 it resumes a broken file only within one call
(huggingface_hub#4196); across calls, finished files are kept and a broken one starts anew.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from limner.errors import OutputError, UnknownModel, UnsafeWeights, WeightsMissing
from limner.protocols import OnStep, Say
from limner.registry import lock
from limner.registry.catalog import ModelEntry, families
from limner.registry.lock import FileHash
from limner.registry.server_replies import ReplyRefused, bounded
from limner.untrusted.plain_text import visible

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
TIMEOUT_S = 10.0
SLACK = 10_000_000
"""Bytes that a download may be over what was listed, before it is broken off."""


@dataclass(frozen=True)
class HubFile:
    """A file as the hub lists it."""

    bytes: int
    sha256: str | None
    """None: a small file, which the hub identifies by its git id."""


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit."""

    repo: str
    commit: str
    files: Mapping[str, HubFile]


def look_up(entry: ModelEntry, revision: str | None, say: Say) -> Snapshot:
    """The model's repository, or the first of its fallbacks that still exists.

    Raises:
        WeightsMissing: none exists, or the hub can't be reached or admits not this user.
        UnknownModel: no such revision.
        UnsafeWeights: a listing that doesn't end.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import DisabledRepoError, GatedRepoError, RepositoryNotFoundError

    gone: list[str] = []
    for repo in (str(entry.repo), *entry.fallbacks):
        with _refusals(repo, revision), _bounded_listing():
            try:
                info = HfApi(endpoint=_endpoint()).model_info(
                    repo,
                    revision=None if gone else revision,  # another repository has other commits
                    files_metadata=True,
                    timeout=TIMEOUT_S,
                )
            except GatedRepoError:
                raise
            except (RepositoryNotFoundError, DisabledRepoError):
                gone.append(repo)
                continue
        if gone:
            say(f"{gone[0]} is gone from the hub; {entry.name} comes from {repo} instead.")
        files = {
            sibling.rfilename: HubFile(
                sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else None
            )
            for sibling in info.siblings or ()
        }
        return Snapshot(repo, str(info.sha), files)
    raise WeightsMissing(
        f"{' and '.join(gone)} can't be had: gone from the hub, or not to be seen with this login "
        "(`hf auth login`)."
    )


def _check_names(repo: str, files: Iterable[str]) -> None:
    """Refuse a listing with a name that leads out of the model's folder."""
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise UnsafeWeights(
                f"{repo} lists {visible(name)!r}, which would lie outside the model's folder: "
                "nothing is fetched from it."
            )


def plan(entry: ModelEntry, snapshot: Snapshot, say: Say) -> dict[str, str]:
    """Which files to fetch: path on the hub -> path in the model's folder.

    Full precision is preferred; a part that has it only as a pickle comes in fp16, under the name
    that ``from_pretrained`` looks for.

    Raises:
        UnsafeWeights: a part's only weights are pickles, or a name leads out of the folder.
        WeightsMissing: a part has no weights.
    """
    chosen = {
        path: path
        for path in snapshot.files
        if any(fnmatchcase(path, pattern) for pattern in entry.allow)
    }
    ending = families()[entry.family].weights
    for part in sorted({_parent(path) for path in entry.allow if path.endswith(ending)}):
        if any(path.endswith(ending) and _parent(path) == part for path in chosen):
            continue
        inside = [path for path in snapshot.files if _parent(path) == part]
        half = {p: p.replace(".fp16.", ".") for p in inside if p.endswith(".fp16.safetensors")}
        half = {path: full for path, full in half.items() if full in entry.allow}
        noun = part or "weights"
        if half:
            say(f"{snapshot.repo} has its {noun} as safetensors only in half precision (fp16).")
            chosen |= half
        elif any(path.endswith(PICKLES) for path in inside):
            raise UnsafeWeights(
                f"{snapshot.repo} has its {noun} only as pickles, which can run code when they are "
                f"opened; limner fetches only {ending.removeprefix('.')}. Where the hub's pull "
                f"requests have a conversion: `limner models pull {entry.name} "
                "--revision refs/pr/N`."
            )
        else:
            raise WeightsMissing(f"{snapshot.repo} has no {noun} as {ending.removeprefix('.')}.")
    _check_names(snapshot.repo, chosen)
    return chosen


def fetch(
    snapshot: Snapshot,
    plan: Mapping[str, str],
    folder: Path,
    on_progress: OnStep | None,
) -> dict[str, FileHash]:
    """Fetch the planned files into ``folder``, and hash them against what the hub lists.

    Raises:
        OutputError: no room.
        WeightsMissing: the hub can't be reached, broke off, or admits not this user.
        UnsafeWeights: a file isn't what the hub lists.
    """
    from huggingface_hub import snapshot_download

    for stale in (folder / ".cache").rglob("*.incomplete"):
        stale.unlink()  # of a pull that was killed: the client never reads it again
    total = sum(snapshot.files[path].bytes for path in plan)
    sizes = lock.sizes(folder)
    done = sum(f.bytes for path in plan if sizes.get(path) == (f := snapshot.files[path]).bytes)
    free = shutil.disk_usage(folder).free
    if total - done > free:
        raise OutputError(
            f"{(total - done) / 1e6:.0f} MB are to come and {lock.home()} has {free / 1e6:.0f} MB "
            "left. LIMNER_HOME moves it to another disk."
        )
    report = on_progress or (lambda done, total: None)
    with _refusals(snapshot.repo, snapshot.commit):
        snapshot_download(
            snapshot.repo,
            revision=snapshot.commit,
            local_dir=folder,
            allow_patterns=list(plan),
            endpoint=_endpoint(),
            tqdm_class=_progress(report, done, total),
        )
    report(total, total)
    return _settle(snapshot, plan, folder)


def _settle(snapshot: Snapshot, plan: Mapping[str, str], folder: Path) -> dict[str, FileHash]:
    """Leave only the planned files, under their names here; refuse one that isn't as listed."""
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    for path, own_path in plan.items():
        if path != own_path:
            (folder / path).replace(folder / own_path)
    for stray in set(lock.sizes(folder)) - set(plan.values()):
        (folder / stray).unlink()
    marks = lock.marks(folder)
    for path, own_path in plan.items():
        listed, mark = snapshot.files[path], marks.get(own_path)
        right = mark is not None and mark.bytes == listed.bytes
        if not right or (listed.sha256 and mark and mark.sha256 != listed.sha256):
            (folder / own_path).unlink(missing_ok=True)
            raise UnsafeWeights(
                f"{path} did not arrive as {snapshot.repo} lists it (its size or sha256 differs). "
                "Pull again."
            )
    return marks


def _parent(path: str) -> str:
    """The folder of a path on the hub; "" for the top."""
    parent = PurePosixPath(path).parent.as_posix()
    return "" if parent == "." else parent


def _progress(report: OnStep, already: int, total: int) -> Any:
    """What huggingface_hub takes for a tqdm class; counts bytes for ``report``, draws nothing."""
    furthest = already

    class Bytes:
        def __init__(
            self, *_: Any, total: float | None = None, unit: str = "it", **__: Any
        ) -> None:
            self.n: float = 0
            self.total = total
            self.unit = unit
            self.format_dict: dict[str, Any] = {}

        def __enter__(self) -> Bytes:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, n: float | None = 1) -> None:
            nonlocal furthest
            self.n += n or 0
            if self.unit == "B" and self.n > 2 * total + SLACK:  # what broke off may come twice
                raise UnsafeWeights("The hub sends more than it lists: nothing of it is taken.")
            done = min(total, already + int(self.n))
            if self.unit == "B" and done > furthest:  # two bars count the same bytes
                furthest = done
                report(done, total)

        def _nothing(self, *_: Any, **__: Any) -> None:
            pass

        refresh = close = set_description = set_description_str = set_postfix_str = _nothing

    return Bytes


# ---- refusals, in our words


@contextlib.contextmanager
def _bounded_listing() -> Iterator[None]:
    """Read the hub's listings within bounds; the files themselves have their listed sizes."""
    from huggingface_hub import get_session

    session = get_session()
    hooks, packing = session.event_hooks, session.headers.get("accept-encoding", "identity")
    session.headers["accept-encoding"] = "identity"
    session.event_hooks = {**hooks, "response": [*hooks.get("response", ()), bounded()]}
    try:
        yield
    except ReplyRefused as refused:
        raise UnsafeWeights(f"The hub {refused}: nothing is fetched.") from None
    finally:
        session.event_hooks = hooks
        session.headers["accept-encoding"] = packing


def _endpoint() -> str | None:
    """Read when used: huggingface_hub reads ``HF_ENDPOINT`` only when it is imported."""
    return os.environ.get("HF_ENDPOINT")


def _offline() -> bool:
    from huggingface_hub import constants

    set_now = os.environ.get("HF_HUB_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES
    return set_now or constants.is_offline_mode()


@contextlib.contextmanager
def _refusals(repo: str, revision: str | None) -> Iterator[None]:
    """Turn what huggingface_hub raises into a limner error that says what to do."""
    from huggingface_hub import errors as hub

    if _offline():
        raise WeightsMissing("HF_HUB_OFFLINE is set, so nothing is fetched.")
    httpx_error: type[Exception] = hub.HfHubHTTPError.__mro__[
        1
    ]  # of whichever httpx it was built on
    try:
        yield
    except hub.RevisionNotFoundError as error:
        raise UnknownModel(
            f"{repo} has no revision {revision}. `--revision main` takes the newest."
        ) from error
    except hub.HfHubHTTPError as error:
        status = error.response.status_code
        if isinstance(error, hub.RepositoryNotFoundError) or status in (401, 403):
            page = f"{_endpoint() or 'https://huggingface.co'}/{repo}"
            raise WeightsMissing(
                f"The hub gives {repo} only to those it has admitted (HTTP {status}): ask for "
                f"access at {page}, log in with `hf auth login` or HF_TOKEN, and pull again."
            ) from error
        raise WeightsMissing(f"The hub answered HTTP {status} for {repo}; try later.") from error
    except (httpx_error, OSError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        raise WeightsMissing(
            f"The hub can't be reached, or broke off ({type(error).__name__}). Finished files are "
            "kept for the next pull."
        ) from error
