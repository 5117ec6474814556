"""The checks of a pipeline before a long training, each with its verdict in words."""
