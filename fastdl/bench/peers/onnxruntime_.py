"""ONNX Runtime: a one-node model per op, constant weights prepacked by the session."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np

# "ort-packed" is a product whose right-hand side the session packs beforehand.
NAMES: dict[str, dict[str, str]] = {"ort": {}, "ort-packed": {}}
_NODES = {
    "matmul": "MatMul", "matmul_integer": "MatMulInteger", "conv2d": "Conv",
    "max_pool2d": "MaxPool", "relu": "Relu", "exp": "Exp",
    "tanh": "Tanh", "sigmoid": "Sigmoid", "log_softmax": "LogSoftmax",
}  # fmt: skip


def version() -> str:
    """ONNX Runtime's version; onnx is needed too, to write the model."""
    importlib.metadata.version("onnx")
    return importlib.metadata.version("onnxruntime")


def contestant(
    name: str, op: str, arrays: tuple[Any, ...], options: dict[str, Any], channels_last: bool
) -> Callable[[], Any] | None:
    """A session run with outputs bound to a preallocated buffer."""
    import os

    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    product = op in ("matmul", "matmul_integer")
    want = ("int8", "uint8") if op == "matmul_integer" else ("float32",)
    if op not in _NODES or arrays[0].dtype.name not in want:
        return None
    attributes = _attributes(op, options)
    if attributes is None or (name == "ort-packed" and not product):
        return None
    given = {f"x{i}": np.ascontiguousarray(a) for i, a in enumerate(arrays) if a is not None}
    fed = ["x0", "x1"] if product and name == "ort" else ["x0"]
    result = onnx.TensorProto.INT32 if op == "matmul_integer" else onnx.TensorProto.FLOAT
    constants = [numpy_helper.from_array(a, key) for key, a in given.items() if key not in fed]
    node = helper.make_node(_NODES[op], list(given), ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        op,
        [
            helper.make_tensor_value_info(
                key, helper.np_dtype_to_tensor_dtype(given[key].dtype), given[key].shape
            )
            for key in fed
        ],
        [helper.make_tensor_value_info("y", result, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    for key in fed:
        binding.bind_cpu_input(key, given[key])
    binding.bind_output("y")
    return lambda: session.run_with_iobinding(binding)


def _attributes(op: str, o: dict[str, Any]) -> dict[str, Any] | None:
    def pair(value: Any) -> list[int]:
        return [value, value] if isinstance(value, int) else list(value)

    if op == "log_softmax":
        return {"axis": o.get("dim", -1)}
    if op not in ("conv2d", "max_pool2d"):
        return {}
    padding = o.get("padding", 0)
    if not isinstance(padding, int):
        return None
    size = o.get("kernel_size")
    kernel = {} if op == "conv2d" else {"kernel_shape": pair(size)}
    group = {"group": o.get("groups", 1)} if op == "conv2d" else {}
    stride = o.get("stride") or (1 if op == "conv2d" else size)
    return {**kernel, **group, "strides": pair(stride), "pads": [padding] * 4,
            "dilations": pair(o.get("dilation", 1))}  # fmt: skip
