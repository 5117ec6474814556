"""The model artifact, and prediction with it."""
