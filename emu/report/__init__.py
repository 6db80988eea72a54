"""Results for people: tables, the tree of a topology, hints about what to open. It reads results, never a running emulation."""
