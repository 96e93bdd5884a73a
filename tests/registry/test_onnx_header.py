"""Reading what an ONNX file says of itself, held against files that the ``onnx`` package writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from limner.errors import ModelError, UnsafeWeights
from limner.registry import onnx_header


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
    found = onnx_header.read(save(tmp_path / "m.onnx", "", "ai.onnx.ml", **told))
    assert dict(found.metadata) == told
    assert found.domains == {"", "ai.onnx.ml"}
    assert not found.external
    onnx_header.check_closed(tmp_path / "m.onnx", found)


def test_foreign_operators_are_refused(tmp_path: Path) -> None:
    """They would come from a library of the sender's."""
    node = helper.make_node("Anything", ["x"], ["y"], domain="com.evil")
    path = save(tmp_path / "m.onnx", "", "com.evil", node=node)
    with pytest.raises(UnsafeWeights, match=r"com\.evil"):
        onnx_header.check_closed(path, onnx_header.read(path))


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    """A path in the file could lead to any other on the disk."""
    model = helper.make_model(graph(), ir_version=8)
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    found = onnx_header.read(path)
    assert found.external
    with pytest.raises(UnsafeWeights, match="other files"):
        onnx_header.check_closed(path, found)


def elsewhere() -> TensorProto:
    """Numbers that lie in a file which the model names."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    return tensor


def attribute(**fields: Any) -> onnx.AttributeProto:
    return onnx.AttributeProto(name="value", **fields)


def branch(
    tensor: TensorProto | None = None, node: onnx.NodeProto | None = None
) -> onnx.GraphProto:
    """The inside of an If or a Loop."""
    inside = onnx.GraphProto(name="branch")
    inside.initializer.extend([tensor] if tensor else [])
    inside.node.extend([node] if node else [])
    return inside


def holding(attribute: onnx.AttributeProto) -> onnx.NodeProto:
    return onnx.NodeProto(op_type="Constant", output=["w"], attribute=[attribute])


def sparse() -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=elsewhere())


HIDING: dict[str, Callable[[], onnx.ModelProto]] = {
    "a constant": lambda: of(holding(attribute(t=elsewhere()))),
    "a list of constants": lambda: of(holding(attribute(tensors=[elsewhere()]))),
    "a sparse constant": lambda: of(holding(attribute(sparse_tensor=sparse()))),
    "sparse constants": lambda: of(holding(attribute(sparse_tensors=[sparse()]))),
    "a branch": lambda: of(holding(attribute(g=branch(elsewhere())))),
    "branches": lambda: of(holding(attribute(graphs=[branch(elsewhere())]))),
    "a constant in a branch in a branch": lambda: of(
        holding(
            attribute(
                g=branch(node=holding(attribute(g=branch(node=holding(attribute(t=elsewhere()))))))
            )
        )
    ),
    "a sparse weight": lambda: of(sparse_weight=sparse()),
    "a function": lambda: of(
        function=onnx.FunctionProto(name="f", node=[holding(attribute(t=elsewhere()))])
    ),
    "a function's default": lambda: of(
        function=onnx.FunctionProto(name="f", attribute_proto=[attribute(t=elsewhere())])
    ),
    "a training step": lambda: of(training=onnx.TrainingInfoProto(algorithm=branch(elsewhere()))),
}


def of(
    node: onnx.NodeProto | None = None,
    sparse_weight: onnx.SparseTensorProto | None = None,
    function: onnx.FunctionProto | None = None,
    training: onnx.TrainingInfoProto | None = None,
) -> onnx.ModelProto:
    model = helper.make_model(graph(node), ir_version=8)
    model.graph.sparse_initializer.extend([sparse_weight] if sparse_weight else [])
    model.functions.extend([function] if function else [])
    model.training_info.extend([training] if training else [])
    return model


@pytest.mark.parametrize("build", HIDING.values(), ids=HIDING)
def test_weights_in_other_files_are_refused_wherever_they_hang(
    tmp_path: Path, build: Callable[[], onnx.ModelProto]
) -> None:
    """A runtime reads them from attributes, branches and functions as it does from the graph."""
    path = tmp_path / "m.onnx"
    path.write_bytes(build().SerializeToString())
    with pytest.raises(UnsafeWeights, match="other files"):
        onnx_header.check_closed(path, onnx_header.read(path))


def test_an_operator_of_another_domain_in_a_branch_is_refused(tmp_path: Path) -> None:
    """Also where the file doesn't say that it uses that domain."""
    path = tmp_path / "m.onnx"
    foreign = onnx.NodeProto(op_type="Run", domain="com.evil")
    path.write_bytes(of(holding(attribute(g=branch(node=foreign)))).SerializeToString())
    with pytest.raises(UnsafeWeights, match=r"com\.evil"):
        onnx_header.check_closed(path, onnx_header.read(path))


def test_branches_without_end_are_refused(tmp_path: Path) -> None:
    """Thirty branches in one another, each of three messages."""
    inside = branch()
    for _ in range(30):
        inside = branch(node=holding(attribute(g=inside)))
    path = tmp_path / "m.onnx"
    path.write_bytes(of(holding(attribute(g=inside))).SerializeToString())
    with pytest.raises(ModelError, match="nested"):
        onnx_header.read(path)


def test_every_cut_is_noticed_or_harmless(tmp_path: Path) -> None:
    """Cut off anywhere, a file is refused, or, between two fields, says less: no traceback."""
    whole = save(tmp_path / "m.onnx", task="segment").read_bytes()
    path = tmp_path / "cut.onnx"
    refused = 0
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            onnx_header.read(path)
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
        found = onnx_header.read(path)
    except ModelError:
        return
    assert isinstance(found.external, bool)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A web page that was saved under the name, or a pickle."""
    path = tmp_path / "FastSAM-s.onnx"
    for content in (b"", b"<!doctype html><html>", b"\x80\x02}q\x00."):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="no ONNX file"):
            onnx_header.read(path)
