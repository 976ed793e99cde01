"""The backends: each a package with one module per family, whose kernels attach themselves.

reference  plain NumPy, any float dtype: the oracle, named by the OpSpecs themselves
native     C++ kernels compiled per instruction set, through `fastdl._native`
numba      @njit kernels; Numba itself is imported when the first of them runs
cuda       an empty slot, which says what is missing
"""

from . import native, numba, reference

__all__ = ["native", "numba", "reference"]
