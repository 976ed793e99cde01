"""The exceptions fastdl raises, each a subclass of the built-in a NumPy user expects.

Every message names the op, the argument, what it was and what is wanted.
"""


class FastdlError(Exception):
    """Base class of all errors raised by fastdl itself."""


class ShapeError(FastdlError, ValueError):
    """An argument's rank or size does not fit the operation."""


class ArgumentError(FastdlError, ValueError):
    """An option has a value the operation does not allow."""


class DTypeError(FastdlError, TypeError):
    """An argument's dtype, or an argument's Python type, is not supported."""


class DeviceError(FastdlError, RuntimeError):
    """Arrays live on different devices, or the device is not there."""


class IndexRangeError(FastdlError, IndexError):
    """An index or a class number lies outside its range."""


class StateError(FastdlError, KeyError):
    """A state_dict lacks names a module has, or has names it lacks."""

    __str__ = Exception.__str__  # KeyError's would put the message in quotes


class FormatError(FastdlError, ValueError):
    """A file is damaged, or in another format than the one read."""


class OverlapError(FastdlError, ValueError):
    """`out` shares memory with an input in a way that would corrupt the result."""


class UnsupportedError(FastdlError, NotImplementedError):
    """The call is valid, but no available kernel or code path can run it."""


class AutogradError(FastdlError, RuntimeError):
    """The tape cannot do what was asked: freed, changed in place, not differentiable."""


class NonFiniteError(FastdlError, RuntimeError):
    """A value that was asked to be finite is infinite or NaN."""


class BackendError(FastdlError, RuntimeError):
    """A backend was asked for that is unknown or not installed."""


class FallbackWarning(UserWarning):
    """An op runs on the slow NumPy reference though nobody asked for it."""
