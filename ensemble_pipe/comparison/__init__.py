"""Comparison of finished runs: their settings, metrics and cost, with intervals of differences."""
