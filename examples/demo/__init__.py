"""Two small MCP servers of different eras, to try the gateway with."""
