"""Benchmarks: how fast emu moves frames, against ns-3 on the same work, and what each design choice is worth."""
