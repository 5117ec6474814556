"""What everything else stands on: errors, keyed random draws, files, settings, messages."""
