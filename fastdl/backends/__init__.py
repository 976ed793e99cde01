"""The backends: each a package with one module per family, whose kernels attach themselves.

reference  plain NumPy, any float dtype: the oracle, named by the OpSpecs themselves
native     C++ kernels compiled per instruction set, through `fastdl._native`
numba      @njit kernels, imported when first used
"""
