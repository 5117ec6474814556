"""Compiled passes over rows: update rules, norms, and averages of weights.

Each kernel goes over learners, then segments, then positions, so that a learner's bits depend on
its own numbers alone. All run on float32 and float64 alike.
"""
