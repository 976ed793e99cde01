"""Augmentation of images, for one image or a whole batch at once.

Every transform takes [H, W], [C, H, W] or a batch [N, C, H, W], whose images it treats each with a
draw of its own; NumPy arrays give arrays and Tensors give Tensors. Sizes and dtype are kept unless
said otherwise. What is random comes from `fastdl.data.rng()`: `fastdl.manual_seed`
repeats it, and inside a `DataLoader` it depends on the loader's seed, the epoch and the number of
the batch, never on the number of workers. Names are torchvision's where it has the transform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..core.dtypes import as_dtype, is_float
from ..core.errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Tensor
from .random import rng

__all__ = [
    "Compose", "Cutout", "GaussianNoise", "Normalize", "RandomAffine", "RandomCrop",
    "RandomErasing", "RandomHorizontalFlip", "RandomRotation", "RandomShift", "RandomVerticalFlip",
    "ToDtype", "Transform",
]  # fmt: skip


class Transform:
    """Base class: a subclass has `_apply(images[N, C, H, W], rng)`, which returns new images."""

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The transformed images; the given ones are left as they are."""
        raise NotImplementedError(f"{type(self).__name__} has no _apply")

    def __call__(self, x: Any) -> Any:
        """The transformed image, or batch of images."""
        ndim = len(x.shape)
        if ndim not in (2, 3, 4):
            raise ShapeError(f"{type(self).__name__}: got {ndim} dimensions, want 2, 3 or 4")
        if ndim == 4:
            return self.batch(x)
        return self.batch(x[None])[0]

    def batch(self, x: Any) -> Any:
        """Images stacked along a first dimension, [N, H, W] or [N, C, H, W], each with its draw."""
        array = x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)
        if array.ndim not in (3, 4):
            raise ShapeError(f"{type(self).__name__}: got a batch of shape {array.shape}")
        images = array[:, None] if array.ndim == 3 else array
        result = self._apply(images, rng())
        result = result[:, 0] if array.ndim == 3 and result.shape[1] == 1 else result
        return Tensor(result) if isinstance(x, Tensor) else result


class Compose(Transform):
    """Transforms one after the other. A plain function among them is given one [C, H, W] a time."""

    def __init__(self, transforms: Iterable[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for transform in self.transforms:
            if isinstance(transform, Transform):
                images = transform._apply(images, rng)
            else:
                images = np.stack([np.asarray(transform(image)) for image in images])
        return images


class ToDtype(Transform):
    """Casts; with `scale`, integers of 0 to 255 become floats of 0 to 1."""

    def __init__(self, dtype: Any = np.float32, scale: bool = False) -> None:
        self.dtype, self.scale = as_dtype(dtype), scale

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        scaled = self.scale and not is_float(images.dtype) and is_float(self.dtype)
        images = images.astype(self.dtype)
        return images / self.dtype.type(255) if scaled else images


class Normalize(Transform):
    """(x − mean) / std, one number for all or one a channel. Raises DTypeError for integers."""

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = (np.asarray(v, np.float64).reshape(-1, 1, 1) for v in (mean, std))
        if not (self.std > 0).all():
            raise ArgumentError(f"Normalize: std: got {std}, want numbers > 0")

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not is_float(images.dtype):
            raise DTypeError(f"Normalize: got {images.dtype}, want floats; use ToDtype before")
        mean, std = (v.astype(images.dtype) for v in (self.mean, self.std))
        if {len(mean), len(std)} - {1, images.shape[1]}:
            raise ShapeError(f"Normalize: {len(mean)} means for {images.shape[1]} channels")
        return (images - mean) / std


class RandomHorizontalFlip(Transform):
    """Left and right exchanged, with probability p."""

    axis = 3

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability(type(self).__name__, p)

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        chosen = rng.random(len(images)) < self.p
        return np.where(chosen[:, None, None, None], np.flip(images, self.axis), images)


class RandomVerticalFlip(RandomHorizontalFlip):
    """Up and down exchanged, with probability p."""

    axis = 2


class RandomCrop(Transform):
    """A window of `size` (height, width) at a random place, after padding.

    Args:
        size: one number for both.
        padding: pixels on every side, or (horizontal, vertical), or (left, top, right, bottom).
        fill: what "constant" padding holds.
        padding_mode: "constant", "edge", "reflect" or "symmetric".

    Raises ShapeError if the padded image is smaller than the window.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        padding: int | Sequence[int] = 0,
        fill: float = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        sides = (padding,) if isinstance(padding, int) else tuple(padding)
        if len(sides) not in (1, 2, 4) or min(sides) < 0:
            raise ArgumentError(f"RandomCrop: padding: got {padding}, want 1, 2 or 4 numbers >= 0")
        left, top, right, bottom = sides * (4 // len(sides))
        self.padding = ((0, 0), (0, 0), (top, bottom), (left, right))
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ArgumentError(f"RandomCrop: padding_mode: got {padding_mode!r}")
        self.mode = {"mode": padding_mode}
        self.fill = {"constant_values": fill} if padding_mode == "constant" else {}

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._cropped(images, self.size, rng)

    def _cropped(
        self, images: np.ndarray, size: Sequence[int], rng: np.random.Generator
    ) -> np.ndarray:
        options: dict[str, Any] = {**self.mode, **self.fill}
        padded = np.pad(images, self.padding, **options)
        h, w = size
        room = padded.shape[2] - h, padded.shape[3] - w
        if min(room) < 0:
            raise ShapeError(f"RandomCrop: size {h} × {w} of padded {padded.shape[2:]}")
        tops, lefts = (rng.integers(0, r + 1, len(images)).tolist() for r in room)
        result = np.empty((*images.shape[:2], h, w), images.dtype)
        for out, image, y, x in zip(result, padded, tops, lefts, strict=True):
            out[...] = image[:, y : y + h, x : x + w]
        return result


class RandomShift(RandomCrop):
    """Moved by up to `pixels` up, down, left and right; `fill` comes in at the edges."""

    def __init__(self, pixels: int, fill: float = 0) -> None:
        super().__init__(0, pixels, fill)

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._cropped(images, images.shape[2:], rng)


class RandomAffine(Transform):
    """Turned, moved and scaled about the centre, by bilinear interpolation.

    Args:
        degrees: the angle is drawn from [−degrees, degrees], or from (low, high); positive turns
            counter-clockwise.
        translate: the most to move, as fractions of (width, height).
        scale: the factor is drawn from (low, high).
        fill: what lies outside the image.

    Integer images are rounded to the nearest value.
    """

    def __init__(
        self,
        degrees: float | tuple[float, float],
        translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None,
        fill: float = 0,
    ) -> None:
        pair = (-degrees, degrees) if isinstance(degrees, (int, float)) else degrees
        self.degrees = _range(type(self).__name__, "degrees", pair)
        self.translate = translate or (0.0, 0.0)
        self.scale = _range(type(self).__name__, "scale", scale or (1.0, 1.0))
        self.fill = fill
        if self.scale[0] <= 0:
            raise ArgumentError(f"{type(self).__name__}: scale: got {scale}, want numbers > 0")

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n, _, h, w = images.shape
        angle = np.deg2rad(rng.uniform(*self.degrees, (n, 1, 1)))
        scale = rng.uniform(*self.scale, (n, 1, 1))
        shift = rng.uniform(-1, 1, (2, n, 1, 1))
        # Where each pixel of the result comes from: the inverse of turn, scale, shift.
        y = np.arange(h)[:, None] - (h - 1) / 2 - shift[1] * self.translate[1] * h
        x = np.arange(w) - (w - 1) / 2 - shift[0] * self.translate[0] * w
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        rows = sin * x + cos * y + (h - 1) / 2
        columns = cos * x - sin * y + (w - 1) / 2
        return _sampled(images, rows, columns, self.fill)


class RandomRotation(RandomAffine):
    """Turned about the centre by an angle drawn from [−degrees, degrees], or from (low, high)."""

    def __init__(self, degrees: float | tuple[float, float], fill: float = 0) -> None:
        super().__init__(degrees, fill=fill)


class GaussianNoise(Transform):
    """Adds normal noise; `clip` keeps the result within 0 to 1. Raises DTypeError for integers."""

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        if sigma < 0:
            raise ArgumentError(f"GaussianNoise: sigma: got {sigma}, want a number >= 0")
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not is_float(images.dtype):
            raise DTypeError(f"GaussianNoise: got {images.dtype}, want floats; use ToDtype before")
        noise = rng.standard_normal(images.shape, np.float32) * self.sigma + self.mean
        noisy = images + noise.astype(images.dtype)
        return noisy.clip(0, 1) if self.clip else noisy


class RandomErasing(Transform):
    """A random rectangle overwritten, with probability p (Zhong et al. 2017).

    Args:
        scale: its area is drawn from this range, as a fraction of the image's.
        ratio: its height over its width is drawn from this range, evenly by logarithm.
        value: what it is overwritten with; "random" for normal noise.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float | str = 0,
    ) -> None:
        self.p = _probability("RandomErasing", p)
        self.scale = _range("RandomErasing", "scale", scale)
        self.ratio = _range("RandomErasing", "ratio", ratio)
        self.value = value
        if self.scale[0] < 0 or self.scale[1] > 1 or self.ratio[0] <= 0:
            raise ArgumentError(f"RandomErasing: got scale {scale}, ratio {ratio}")
        if isinstance(value, str) and value != "random":
            raise ArgumentError(f"RandomErasing: value: got {value!r}, want a number or 'random'")

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        images = images.copy()
        h, w = images.shape[2:]
        for i in np.flatnonzero(rng.random(len(images)) < self.p).tolist():
            for _ in range(10):  # a rectangle that does not fit is drawn again
                area = rng.uniform(*self.scale) * h * w
                ratio = math.exp(rng.uniform(*np.log(self.ratio)))
                rows, columns = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
                if rows < h and columns < w:
                    y, x = rng.integers(0, h - rows + 1), rng.integers(0, w - columns + 1)
                    part = images[i, :, y : y + rows, x : x + columns]
                    random = isinstance(self.value, str)
                    part[...] = rng.standard_normal(part.shape) if random else self.value
                    break
        return images


class Cutout(Transform):
    """A square of `size` pixels overwritten with `fill`, its centre anywhere, so that it may hang
    over an edge (DeVries and Taylor 2017)."""

    def __init__(self, size: int, fill: float = 0) -> None:
        if size < 1:
            raise ArgumentError(f"Cutout: size: got {size}, want at least 1")
        self.size, self.fill = size, fill

    def _apply(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        images = images.copy()
        corners = rng.integers(0, images.shape[2:], (len(images), 2)) - self.size // 2
        for image, (top, left) in zip(images, corners.tolist(), strict=True):
            image[:, max(top, 0) : top + self.size, max(left, 0) : left + self.size] = self.fill
        return images


def _sampled(images: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill: float) -> np.ndarray:
    """Bilinear values of images[N, C, H, W] at rows and columns [N, H', W'] (in pixels)."""
    n, c, h, w = images.shape
    # One pixel of `fill` around; whatever lies further out is clamped there.
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=fill)
    y, x = rows.clip(-1, h) + 1, columns.clip(-1, w) + 1
    top, left = np.minimum(y.astype(np.intp), h), np.minimum(x.astype(np.intp), w)
    dtype = images.dtype if is_float(images.dtype) else np.dtype(np.float32)
    down, right = ((v - i)[..., None].astype(dtype) for v, i in ((y, top), (x, left)))
    # One index into rows of channels, and one gather a corner: several times as fast as three.
    pixels = padded.transpose(0, 2, 3, 1).reshape(-1, c)
    corner = (np.arange(n)[:, None, None] * (h + 2) + top) * (w + 2) + left

    def between(index: np.ndarray) -> np.ndarray:
        start = pixels[index]
        return start + (pixels[index + 1].astype(dtype, copy=False) - start) * right

    upper = between(corner)
    values = upper + (between(corner + w + 2) - upper) * down
    if not is_float(images.dtype):
        values = np.rint(values)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), dtype=images.dtype)


def _probability(name: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ArgumentError(f"{name}: p: got {p}, want 0 to 1")
    return p


def _range(name: str, argument: str, pair: Sequence[float]) -> tuple[float, float]:
    if len(pair) != 2 or pair[0] > pair[1]:
        raise ArgumentError(f"{name}: {argument}: got {pair}, want (low, high)")
    return pair[0], pair[1]
