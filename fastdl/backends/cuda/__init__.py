"""The slot of the CUDA kernels: none are there yet, and calls on CuPy arrays say so."""
