"""The trained detector to and from an ONNX file. Needs PyTorch and onnx.

Always true here: the file takes any number of pictures of any size that is a multiple of 32; its
weights are kept as 16-bit floats, which the run time widens when it loads them.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def export(model: Any, path: Path) -> None:
    """Writes the model; what was there before is replaced at once."""
    made = io.BytesIO()
    pictures = torch.zeros(1, 64, 96, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (pictures,),
            made,
            input_names=["input"],
            output_names=["out"],
            dynamic_axes={
                "input": {0: "n", 1: "height", 2: "width"},
                "out": {0: "n", 1: "rows", 2: "columns"},
            },
            opset_version=OPSET,
            dynamo=False,
        )
    part = path.with_suffix(".part")
    part.write_bytes(_halved(onnx.load_from_string(made.getvalue())).SerializeToString())
    part.replace(path)


def begin_from(path: Path, model: Any) -> None:
    """Gives a network the weights of an exported one; of an older one, its trunk's.

    Raises ValueError where the file's convolutions are neither.
    """
    graph = onnx.load(path).graph
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    cast = {
        one.output[0]: one.input[0] for one in graph.node if one.op_type in {"Cast", "Identity"}
    }
    layers = [one.input for one in graph.node if one.op_type == "Conv"]
    named = [_stored(layer[1], cast) for layer in layers]
    whole = [one for one in model.modules() if isinstance(one, torch.nn.Conv2d)]
    if len(named) == len(whole):
        _load_by_name(arrays, cast, model)
        return
    trunk = model.trunk()
    if len(named) != len(trunk):
        raise ValueError(f"{path} has {len(named)} convolutions, not {len(trunk)}: no detector")
    for layer, name, given in zip(trunk, named, layers, strict=True):
        layer.weight.data.copy_(torch.from_numpy(arrays[name].astype(np.float32)))
        layer.bias.data.copy_(torch.from_numpy(arrays[given[2]].astype(np.float32)))


def _load_by_name(arrays: dict[str, Any], cast: dict[str, str], model: Any) -> None:
    """The exporter keeps the names of weights where nothing was folded."""
    state = {
        name: torch.from_numpy(arrays[_stored(name, cast)].astype(np.float32))
        for name in model.state_dict()
    }
    model.load_state_dict(state)


def _stored(name: str, through: dict[str, str]) -> str:
    """Under which name a weight is kept, before casts and where two were the same."""
    while name in through:
        name = through[name]
    return name


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with its large weights as float16 and a cast after each."""
    graph = model.graph
    casts = []
    for one in list(graph.initializer):
        values = numpy_helper.to_array(one)
        if values.dtype != np.float32 or values.size < 1000:
            continue
        name = one.name
        one.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model
