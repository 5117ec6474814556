"""Ensembles behind scikit-learn's interface."""

from ensemble_pipe.estimators.ensembles import EnsembleClassifier, EnsembleRegressor

__all__ = ["EnsembleClassifier", "EnsembleRegressor"]
