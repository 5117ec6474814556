"""A pipeline file: its sections, how it is read, and every mistake in it at once, with its line."""
