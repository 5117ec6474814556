"""The loop that trains one stack of learners; knows no Ray and no MLflow."""
