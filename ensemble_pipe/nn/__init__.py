"""The network engine: an ensemble is a matrix with one row of parameters per member."""
