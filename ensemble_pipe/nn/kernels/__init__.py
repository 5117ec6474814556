"""Compiled passes over activations and losses.

Each kernel goes over learners, then rows, then columns, and sums in that order, so that a learner's
bits depend on its own numbers alone. All run on float32 and float64 alike.
"""
