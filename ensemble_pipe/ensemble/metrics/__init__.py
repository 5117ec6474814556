"""How good predictions are. R rows, O classes, D regression targets."""
