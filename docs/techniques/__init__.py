"""What the pages of docs/techniques show: for each a module of its name, with a `Technique`."""
