"""Inspection of data files: column statistics, and a suggested pipeline."""
