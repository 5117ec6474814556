"""Evaluation of a trained model on labelled rows, and on out-of-distribution rows."""
