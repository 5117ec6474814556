"""Named public data sets, brought from their own hosts and checked against published sums."""
