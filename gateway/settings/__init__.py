"""Settings: one YAML file, read once at start; a mistake in it stops the start with a message that names the place."""
