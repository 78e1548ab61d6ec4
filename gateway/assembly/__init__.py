"""Settings become adapters: one module for each side, and the only place that knows both the settings and the adapters."""
