"""`policy explain`: one decision, why it is what it is, and what would have changed it. Nothing is guessed: OPA is asked."""
