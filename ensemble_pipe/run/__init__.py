"""A run from its beginning to its end: preparation, training, combination, growth, transfer."""
