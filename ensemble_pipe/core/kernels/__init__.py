"""Compiled kernels of `core`."""
