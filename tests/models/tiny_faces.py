"""Networks with the outputs of CenterFace and of YuNet, and known answers, as ONNX files.

The tiny CenterFace calls a bright pixel a face: its score at a point is a steep sigmoid of the mean
brightness of the 4 x 4 px that it stands for, and size and offset are constants. The tiny YuNet is
random.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from limner.models.faces.centerface import FILE as CENTERFACE
from limner.models.faces.centerface import OUTPUTS
from limner.models.faces.yunet import FILE as YUNET

FACE_WH = (24.0, 32.0)
"""px of what the network sees."""
STRIDES = (8, 16, 32)


def save_tiny_centerface(folder: Path, side: int = 32) -> Path:
    """With a fixed input, as the file in the wheel has; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = FACE_WH
    means = {
        "score": np.full((1, 3, 4, 4), 0.2 / 48),
        "size": np.zeros((2, 3, 4, 4)),
        "offset": np.zeros((2, 3, 4, 4)),
        "landmarks": np.zeros((10, 3, 4, 4)),
    }
    biases = {
        "score": [-0.2 * 160],
        "size": [math.log(height / 4), math.log(width / 4)],
        "offset": [0.0, 0.0],
        "landmarks": [0.5] * 10,
    }
    nodes, numbers = [], []
    for name, output in zip(means, OUTPUTS, strict=True):
        numbers += [
            numpy_helper.from_array(means[name].astype(np.float32), f"{name}.weight"),
            numpy_helper.from_array(np.array(biases[name], np.float32), f"{name}.bias"),
        ]
        made = f"{name}.linear" if name == "score" else output
        taken = ["image", f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", taken, [made], kernel_shape=[4, 4], strides=[4, 4]))
    nodes.append(helper.make_node("Sigmoid", ["score.linear"], [OUTPUTS[0]]))
    channels = (1, 2, 2, 10)
    shapes = [[1, each, side // 4, side // 4] for each in channels]
    return _save(folder / CENTERFACE, nodes, [1, 3, side, side], OUTPUTS, shapes, numbers)


def save_tiny_yunet(folder: Path, seed: int = 0) -> Path:
    """Per level a score of class and of object, a box and five points a cell; any input size."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    nodes, numbers, outputs, shapes = [], [], [], []
    numbers.append(numpy_helper.from_array(np.array([1, -1], np.int64), "two"))
    for part, channels in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        numbers.append(numpy_helper.from_array(np.array([1, channels, -1], np.int64), f"{part}.s"))
        for stride in STRIDES:
            name = f"{part}_{stride}"
            weight = random.normal(0, 0.02 / stride, (channels, 3, stride, stride))
            numbers.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}.weight"))
            steps = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
            nodes += [
                helper.make_node("Conv", ["image", f"{name}.weight"], [f"{name}.maps"], **steps),
                helper.make_node("Reshape", [f"{name}.maps", f"{part}.s"], [f"{name}.flat"]),
            ]
            last = f"{name}.rows" if channels == 1 else name
            nodes.append(helper.make_node("Transpose", [f"{name}.flat"], [last], perm=[0, 2, 1]))
            if channels == 1:
                nodes.append(helper.make_node("Sigmoid", [last], [name]))
            outputs.append(name)
            shapes.append([1, None, channels])
    return _save(folder / YUNET, nodes, [1, 3, None, None], outputs, shapes, numbers)


def _save(path, nodes, image, outputs, shapes, numbers):  # type: ignore[no-untyped-def]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in zip(outputs, shapes, strict=True)
        ],
        numbers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 6
    onnx.save(model, path)
    return path
