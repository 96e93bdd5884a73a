"""A network in an ONNX file, run by onnxruntime: on the CPU or, if it was built for it, on CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limner.errors import MissingExtra, ModelError
from limner.registry import catalog, onnx_header
from limner.registry.weights import Runtime, Weights


def open_session(path: Path, weights: Weights, where: Runtime) -> Any:
    """An ``onnxruntime.InferenceSession`` of a file that holds all of itself.

    Raises:
        UnsafeWeights: a file that reaches beyond itself.
        ModelError: a file that onnxruntime can't read.
        MissingExtra: onnxruntime isn't installed.
    """
    onnx_header.check_closed(path, onnx_header.read(path))
    try:
        import onnxruntime
    except ImportError as error:
        extra = catalog.families()[weights.ref.family].extra
        raise MissingExtra(
            f'{weights.ref.name} needs the package onnxruntime: pip install "limner[{extra}]".'
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone, which are also raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=_providers(where))
    except Exception as error:  # of onnxruntime's own, which share no base
        raise ModelError(f"{path} can't be read by onnxruntime: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What onnxruntime says, without its trace."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def fits(shape: Sequence[int | str], wanted: Sequence[int | str]) -> bool:
    """Whether a tensor has this shape, as far as the file says; a name stands for any number."""
    return len(shape) == len(wanted) and all(
        isinstance(a, str) or isinstance(b, str) or a == b
        for a, b in zip(shape, wanted, strict=True)
    )


def _providers(where: Runtime) -> list[Any]:
    import onnxruntime

    kind, _, number = where.device.partition(":")
    if kind == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return [("CUDAExecutionProvider", {"device_id": number or "0"}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]
