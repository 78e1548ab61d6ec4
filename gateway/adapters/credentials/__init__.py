"""As whom the gateway comes to a backend: one file for each way, never the client's own token."""
