"""Compiled passes over rows: gathering batches, and augmenting."""
