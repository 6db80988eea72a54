"""Congestion control, pluggable by Linux's names: how large the congestion window is (RFC 5681, 9406, 9438)."""

from __future__ import annotations

from emu.kernel.errors import InvalidValue
from emu.stack.tcp.congestion.base import CongestionControl
from emu.stack.tcp.congestion.cubic import Cubic
from emu.stack.tcp.congestion.reno import Reno

ALGORITHMS: dict[str, type[CongestionControl]] = {"cubic": Cubic, "reno": Reno}


def make(name: str, mss: int, initial_window: int = 10) -> CongestionControl:
    """Returns a new congestion control of that name.

    name: "cubic" or "reno". mss: bytes of payload in a full segment. initial_window: segments (RFC 6928: 10).
    Raises `InvalidValue` for a name that is not known.
    """
    algorithm = ALGORITHMS.get(name)
    if algorithm is None:
        known = " or ".join(f'"{known}"' for known in sorted(ALGORITHMS))
        raise InvalidValue(f'unknown congestion control "{name}": expected {known}')
    return algorithm(mss, initial_window)


__all__ = ["ALGORITHMS", "CongestionControl", "make"]
