"""A kernel of own_op.py's op in a file of its own."""

import numpy as np


def plain(x, a=1.0):
    """y = a·x² + x."""
    return np.float32(a) * x * x + x
