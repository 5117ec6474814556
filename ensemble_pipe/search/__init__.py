"""Choosing hyperparameters before a run: the learning-rate range test."""
