"""The journal of a run, and its view in MLflow."""
