"""Data from files to batches: sources, schema, splits, base files, augmented shards, row order."""
