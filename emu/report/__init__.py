"""Results for people: tables, the tree of a topology, hints about what to open.

Nothing here touches a running emulation: it reads results.
"""
