"""The pages that a person reads: numbers of a run become pictures, and these a page."""
