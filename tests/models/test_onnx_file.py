"""Reading what an ONNX file says of itself, held against files that the ``onnx`` package writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from limner.errors import ModelError, UnsafeWeights
from limner.models import onnx_file


def graph(node: onnx.NodeProto | None = None) -> onnx.GraphProto:
    """y = x + w."""
    shape = [1, 4]
    return helper.make_graph(
        [node or helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.arange(4, dtype=np.float32)[None], "w")],
    )


def save(path: Path, *domains: str, node: onnx.NodeProto | None = None, **told: str) -> Path:
    imports = [helper.make_opsetid(domain, 17 if not domain else 1) for domain in domains or ("",)]
    model = helper.make_model(graph(node), opset_imports=imports, ir_version=8)
    helper.set_model_props(model, told)
    onnx.save(model, path)
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Metadata, also empty and not ASCII, and the operators' domains."""
    told = {"task": "segment", "names": "{0: 'Ding – 物'}", "empty": ""}
    found = onnx_file.read(save(tmp_path / "m.onnx", "", "ai.onnx.ml", **told))
    assert dict(found.metadata) == told
    assert found.domains == {"", "ai.onnx.ml"}
    assert not found.external
    onnx_file.check_closed(tmp_path / "m.onnx", found)


def test_foreign_operators_are_refused(tmp_path: Path) -> None:
    """They would come from a library of the sender's."""
    node = helper.make_node("Anything", ["x"], ["y"], domain="com.evil")
    path = save(tmp_path / "m.onnx", "", "com.evil", node=node)
    with pytest.raises(UnsafeWeights, match=r"com\.evil"):
        onnx_file.check_closed(path, onnx_file.read(path))


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    """A path in the file could lead to any other on the disk."""
    model = helper.make_model(graph(), ir_version=8)
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    found = onnx_file.read(path)
    assert found.external
    with pytest.raises(UnsafeWeights, match="other files"):
        onnx_file.check_closed(path, found)


def test_every_cut_is_noticed_or_harmless(tmp_path: Path) -> None:
    """Cut off anywhere, a file is refused, or, between two fields, says less: no traceback."""
    whole = save(tmp_path / "m.onnx", task="segment").read_bytes()
    path = tmp_path / "cut.onnx"
    refused = 0
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            onnx_file.read(path)
        except ModelError:
            refused += 1
    assert refused > 0.9 * len(whole)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_file_or_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(content)
    try:
        found = onnx_file.read(path)
    except ModelError:
        return
    assert isinstance(found.external, bool)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A web page that was saved under the name, or a pickle."""
    path = tmp_path / "FastSAM-s.onnx"
    for content in (b"", b"<!doctype html><html>", b"\x80\x02}q\x00."):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="no ONNX file"):
            onnx_file.read(path)
