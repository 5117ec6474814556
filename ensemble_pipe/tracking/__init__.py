"""The journal of a run, and its views: MLflow, the report and pictures."""
