"""A FastSAM as Ultralytics exports it: one ONNX file, run by onnxruntime.

The graph computes in the precision that it was exported in, on the CPU or, where onnxruntime was
built for it, on the CUDA device that was chosen.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from limner.errors import ModelError
from limner.models.blocks.onnx_session import first_line, fits, open_session
from limner.models.fastsam.yolo_decode import COEFFICIENTS
from limner.registry import onnx_header
from limner.registry.weights import Runtime, Weights

Floats = npt.NDArray[np.float32]

ROWS = 5 + COEFFICIENTS
"""A box, a score and the coefficients."""
EXPORT = "yolo export model=FastSAM-s.pt format=onnx imgsz=1024"
SIDE = 1024
"""Of the network's input, where a graph takes any and doesn't say: the paper's."""


@dataclass(frozen=True)
class Graph:
    """What a network takes and gives."""

    session: Any
    """``onnxruntime.InferenceSession``."""
    input: str
    half: bool
    """Whether its numbers are float16."""
    size_wh: tuple[int, int]
    """Of its input: exactly this, or where it takes any, at most this."""
    stride: int
    """Sides of any input are multiples of this."""
    takes_any: bool

    def run(self, batch: Floats) -> tuple[Floats, Floats]:
        """(1, 3, h, w) in 0..1 -> (37, A) rows and (32, h / 4, w / 4) prototypes.

        Raises:
            ModelError: onnxruntime can't, or something else comes out.
        """
        given = batch.astype(np.float16 if self.half else np.float32)
        try:
            answer = self.session.run(None, {self.input: given})
        except Exception as error:  # of onnxruntime's own, which share no base
            raise ModelError(f"onnxruntime can't run this network: {first_line(error)}") from error
        rows, prototypes = (np.asarray(part[0], dtype=np.float32) for part in answer)
        if rows.shape[0] != ROWS or prototypes.shape[0] != COEFFICIENTS:
            raise ModelError(
                f"This network gave {rows.shape} and {prototypes.shape}, and a FastSAM ({ROWS}, "
                f"boxes) and ({COEFFICIENTS}, height, width): export it with `{EXPORT}`."
            )
        return rows, prototypes


def read_graph(path: Path, weights: Weights, where: Runtime) -> Graph:
    """The network in an exported file, ready to run.

    Raises:
        ModelError: another network, or a file that onnxruntime can't read.
        UnsafeWeights: a file that reaches beyond itself.
        MissingExtra: onnxruntime isn't installed.
    """
    header = onnx_header.read(path)
    onnx_header.check_closed(path, header)  # before anything of it is told
    names = _told(header, "names", {})
    if len(names) != 1:
        raise ModelError(
            f"{path} tells {len(names)} kinds of things apart and FastSAM knows one, anything: "
            "this is another YOLO."
        )
    session = open_session(path, weights, where)
    (taken, *more), given = session.get_inputs(), session.get_outputs()
    shapes = [tuple(output.shape) for output in given]
    wanted = [(1, ROWS, "boxes"), (1, COEFFICIENTS, "height", "width")]
    if more or len(shapes) != 2 or not all(map(fits, shapes, wanted)):
        raise ModelError(
            f"{path} gives {' and '.join(map(str, shapes))}, and a FastSAM "
            f"{' and '.join(map(str, wanted))}: export it with `{EXPORT}`, without nms=True."
        )
    sides = tuple(taken.shape[2:])
    takes_any = not all(isinstance(side, int) for side in sides)
    height, width = _told(header, "imgsz", [SIDE, SIDE]) if takes_any else sides
    stride = int(_told(header, "stride", 32))
    half = taken.type == "tensor(float16)"
    return Graph(session, taken.name, half, (width, height), stride, takes_any)


def _told(header: onnx_header.OnnxFile, key: str, default: Any) -> Any:
    """A value that Ultralytics wrote into the file, as Python writes it."""
    try:
        return ast.literal_eval(header.metadata.get(key, repr(default)))
    except (ValueError, SyntaxError):
        return default
