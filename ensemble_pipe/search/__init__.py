"""Choosing hyperparameters: searches for them, and the learning-rate range test."""
