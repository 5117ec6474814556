"""Finished runs side by side: what differs between them, and what that was worth."""
