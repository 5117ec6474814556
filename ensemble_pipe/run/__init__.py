"""Execution of a pipeline: preparation, training, combination, resuming, growth, transfer."""
