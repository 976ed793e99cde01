"""The oracle: every op in plain NumPy, written to be read beside its formula.

Conventions, the same for all modules here:
* Arguments are checked and promoted already; options are canonical and passed by name.
* Floats are computed in the dtype of the arrays given. Dispatch and the checker hand over a wider
  dtype than the call's (float64 for float32, longdouble for float64) and round once at the end, so
  nothing here names a dtype, and nothing needs BLAS, which has no longdouble.
* NaN and infinities follow torch. Inputs are never modified.
* Loops run over taps, windows or terms of a series, never over elements.
"""
