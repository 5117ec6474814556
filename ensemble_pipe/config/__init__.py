"""Pipeline files: sections, reading and validation, with all mistakes and their lines at once."""
