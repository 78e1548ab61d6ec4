"""The life of a policy set outside the request: what its owners do with it, one module or package for each command."""
