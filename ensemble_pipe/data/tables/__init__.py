"""Tables as people have them: rules of columns, what is fitted to them, and rows encoded by it."""
