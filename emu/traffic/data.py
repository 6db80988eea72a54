"""The data that a script gives a program to send."""

from __future__ import annotations

from emu.kernel.errors import InvalidValue


def bytes_of(data: str | bytes, program: str) -> bytes:
    """Return text (as UTF-8) or bytes as bytes. Raises InvalidValue naming the program for anything else."""
    if isinstance(data, bytes):
        return data
    if not isinstance(data, str):
        raise InvalidValue(f"{program}: data is text or bytes, not {data!r}")
    try:
        return data.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(f"{program}: {data!r} can't be sent as UTF-8: {error.reason}") from None
