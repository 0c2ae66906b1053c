"""Reads the weights of a shipped model back, so that a training can go on from it instead of from the beginning."""

import re
from pathlib import Path

import numpy
import onnx
import torch
from onnx import numpy_helper

DENSE = ("attention.output.dense.weight", "intermediate.dense.weight", "output.dense.weight")  # in a layer's order


def read_back(path: Path) -> dict[str, torch.Tensor]:
    """Return the state of a Net as `train.export` wrote it: int8 matrices times their scales, the rest as it is.

    What the quantising rounded off stays lost; a training goes on from the model as people met it.
    """
    stored = {one.name: numpy_helper.to_array(one) for one in onnx.load(str(path)).graph.initializer}

    def plain(name: str) -> numpy.ndarray:
        if name in stored:
            return stored[name]
        number = stored[f"{name}_quantized"].astype("float32") - stored[f"{name}_zero_point"].astype("float32")
        return number * stored[f"{name}_scale"]

    names = {name.removesuffix("_quantized") for name in stored if name.endswith("_quantized")}
    state = {name: plain(name) for name in names if name.startswith("encoder.")}
    kept = re.compile(r"(encoder\..*|head|intents)\.(weight|bias)")
    state |= {name: value for name, value in stored.items() if kept.fullmatch(name)}
    state |= {f"{name}.weight": plain(f"{name}.weight_Transposed").T for name in ("head", "intents")}
    dense = sorted((name for name in names if name.startswith("onnx::MatMul_")), key=lambda n: int(n.split("_")[1]))
    for layer in range(len(dense) // len(DENSE)):
        prefix = f"encoder.encoder.layer.{layer}"
        for place, part in enumerate(DENSE):
            state[f"{prefix}.{part}"] = plain(dense[layer * len(DENSE) + place]).T
        weights = numpy.split(plain(f"Attention_{layer}_qkv_weight"), 3, axis=1)
        biases = numpy.split(stored[f"Attention_{layer}_qkv_bias"], 3)
        for part, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
            state[f"{prefix}.attention.self.{part}.weight"] = weight.T
            state[f"{prefix}.attention.self.{part}.bias"] = bias
    return {name: torch.tensor(numpy.ascontiguousarray(value)) for name, value in state.items()}
