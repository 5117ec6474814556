"""What a file holds, and the pipeline that it asks for."""
