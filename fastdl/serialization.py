"""`save` and `load`: nested state as one safetensors file, written so that a crash loses nothing.

A dict of tensors becomes a plain safetensors file under the dict's own keys, which torch's users
read with their tools. Anything else (lists, numbers, a dict of dicts) is described in the file's
metadata by a JSON tree whose leaves name the tensors.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .core.dtypes import NAMES, bfloat16, name_of
from .core.errors import ArgumentError, DTypeError, FormatError
from .tensor import Tensor

_KEY = "fastdl"
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


def save(obj: Any, f: str | os.PathLike[str] | BinaryIO) -> None:
    """Writes tensors, arrays, numbers, strings, None, and dicts, lists and tuples of these.

    To a path it is written atomically: a temporary file in the same folder, fsync, rename, fsync of
    the folder. A reader, and a machine that loses power, finds the old file or the new one, whole.

    Raises DTypeError for what the format cannot hold, ImportError without safetensors, OSError as
    the system does; the temporary file is then gone, and the old file untouched unless the very
    last step failed, the fsync of the folder.
    """
    data = _encode(obj)
    if not isinstance(f, (str, os.PathLike)):
        f.write(data)
        return
    path = Path(f)
    folder = path.parent
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=folder)
    try:
        try:
            _write(handle, data)
            os.fchmod(handle, _mode(path))
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    folder_handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(folder_handle)  # the rename itself must survive a power cut
    finally:
        os.close(folder_handle)


def load(f: str | os.PathLike[str] | BinaryIO, map_location: Any = None) -> Any:
    """Reads what `save` wrote, or any safetensors file (a dict of Tensors).

    `map_location` may be None or the CPU. Raises FormatError for a file that is damaged or of
    another kind (torch's pickles among them), ImportError without safetensors.
    """
    if map_location is not None and str(map_location) != "cpu":
        raise ArgumentError(f"load: map_location: got {map_location!r}, want None or 'cpu'")
    safetensors = _safetensors()
    data = Path(f).read_bytes() if isinstance(f, (str, os.PathLike)) else f.read()
    name = str(f) if isinstance(f, (str, os.PathLike)) else "the file"
    try:
        found = safetensors.deserialize(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (safetensors.SafetensorError, ValueError) as error:
        kind = "a zip file, as torch.save writes; " if data[:2] == b"PK" else ""
        raise FormatError(f"load: {name} is no whole safetensors file ({kind}{error})") from None
    tensors = {key: _tensor(name, key, value) for key, value in found}
    tree = header.get("__metadata__", {}).get(_KEY)
    return tensors if tree is None else _join(json.loads(tree), tensors)


# --- the tree -------------------------------------------------------------------------------------


def _encode(obj: Any) -> bytes:
    arrays: dict[str, np.ndarray] = {}
    tree = _split(obj, "", arrays)
    safetensors = _safetensors()
    contiguous = {key: np.ascontiguousarray(a).reshape(a.shape) for key, a in arrays.items()}
    return safetensors.numpy.save(contiguous, metadata={_KEY: json.dumps(tree)})


def _split(obj: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The JSON form of an object; its arrays go to `arrays` under the path that led to them."""
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, np.dtype):
        return {"dtype": name_of(obj)}
    if isinstance(obj, (Tensor, np.ndarray, np.generic)):
        array = obj._array if isinstance(obj, Tensor) else np.asarray(obj)
        if name_of(array.dtype) not in NAMES:
            raise DTypeError(f"save: {path}: dtype {array.dtype}, want one of {', '.join(NAMES)}")
        key = path or "tensor"
        while key in arrays:  # {"a": {"b": x}, "a.b": y}
            key += "_"
        arrays[key] = array
        return {"tensor" if isinstance(obj, Tensor) else "array": key}
    if isinstance(obj, Mapping):
        pairs = []
        for key, value in obj.items():
            if not isinstance(key, (str, int)) or isinstance(key, bool):
                raise DTypeError(f"save: {path}: key {key!r}, want a str or an int")
            pairs.append([key, _split(value, f"{path}.{key}" if path else str(key), arrays)])
        return {"dict": pairs}
    if isinstance(obj, (list, tuple)):
        items = [_split(v, f"{path}.{i}" if path else str(i), arrays) for i, v in enumerate(obj)]
        return {"list" if isinstance(obj, list) else "tuple": items}
    raise DTypeError(
        f"save: {path or 'obj'}: got {type(obj).__name__}, want tensors, arrays, numbers, strings,"
        " None, or dicts, lists and tuples of these"
    )


def _join(tree: Any, tensors: dict[str, Tensor]) -> Any:
    """Undoes `_split`."""
    if not isinstance(tree, dict):
        return tree
    (kind, value), *_ = tree.items()
    if kind == "dict":
        return {key: _join(v, tensors) for key, v in value}
    if kind in ("list", "tuple"):
        items = [_join(v, tensors) for v in value]
        return items if kind == "list" else tuple(items)
    if kind == "dtype":
        return bfloat16() if value == "bfloat16" else np.dtype(value)
    return tensors[value] if kind == "tensor" else tensors[value]._array


def _tensor(name: str, key: str, value: Mapping[str, Any]) -> Tensor:
    dtype = _DTYPES.get(value["dtype"])
    if dtype is None:
        raise FormatError(
            f"load: {name}: {key} has dtype {value['dtype']}, want {', '.join(NAMES)}"
        )
    numpy_dtype = bfloat16() if dtype == "bfloat16" else np.dtype(dtype)
    array = np.frombuffer(value["data"], numpy_dtype).reshape(value["shape"])
    return Tensor(array.copy())  # writeable, and aligned


# --- the file -------------------------------------------------------------------------------------


def _write(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _mode(path: Path) -> int:
    """The permissions of the file to be replaced, or those the user's mask gives a new one."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "save and load need safetensors, which is not installed: pip install 'fastdl[save]'"
        ) from None
    return safetensors
