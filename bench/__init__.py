"""Measures what the gateway adds to a fast backend, side by side in one run."""
