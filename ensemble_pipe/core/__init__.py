"""The foundation of all other folders: errors, keyed random draws, files, settings, messages."""
