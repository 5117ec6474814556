"""The journal, which is the truth of a run, and MLflow and pictures, which are views of it."""
