"""Network drivers: the protocol for writing one, and those that are built: bridge, host, null."""
