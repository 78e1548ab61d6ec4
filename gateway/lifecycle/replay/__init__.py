"""Recorded questions, put to another policy set: what would have been answered otherwise, and what cannot be known."""
