"""What a trained model is worth on other data: labelled rows, and rows of another kind."""
