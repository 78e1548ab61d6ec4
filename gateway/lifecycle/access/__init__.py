"""`policy access`: who may call what, and under which conditions: personas by catalog, from OPA and from nothing else."""
