"""From files to batches: sources, schema, splits, base files, augmented shards, row order."""
