"""The version of emu."""

__version__ = "0.1.0"
