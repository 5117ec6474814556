"""Strategies, members, combiners, calibration, uncertainty and metrics of ensembles."""
