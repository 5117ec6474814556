"""Compiled passes over the outputs of members."""
