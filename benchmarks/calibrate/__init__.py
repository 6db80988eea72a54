"""Calibration: what a packet costs on real Linux, as the source of the cost model's default values."""
