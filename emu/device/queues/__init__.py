"""The queues in front of a line.

`drop_tail` is the usual one, which needs no event of its own; `codel` and `red` are disciplines on a queue that really
holds frames, `frame_queue`; `parse` reads what `queue=` may be.
"""
