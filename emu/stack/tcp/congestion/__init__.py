"""Congestion control, pluggable by Linux's names: how large the congestion window is (RFC 5681, 9406, 9438)."""

from __future__ import annotations

from emu.kernel.errors import InvalidValue
from emu.stack.tcp.congestion.base import CongestionControl
from emu.stack.tcp.congestion.cubic import Cubic
from emu.stack.tcp.congestion.reno import Reno

ALGORITHMS: dict[str, type[CongestionControl]] = {"cubic": Cubic, "reno": Reno}


def check_algorithm(name: str) -> None:
    """Raise `InvalidValue` for what is not the name of a congestion control."""
    if not isinstance(name, str) or name not in ALGORITHMS:
        known = " or ".join(f'"{known}"' for known in sorted(ALGORITHMS))
        raise InvalidValue(f"congestion control {name!r}: expected {known}")


def make(name: str, mss: int, initial_window: int = 10) -> CongestionControl:
    """Returns a new congestion control of that name.

    name: "cubic" or "reno". mss: bytes of payload in a full segment. initial_window: segments (RFC 6928: 10).
    Raises `InvalidValue` for a name that is not known.
    """
    check_algorithm(name)
    return ALGORITHMS[name](mss, initial_window)


__all__ = ["ALGORITHMS", "CongestionControl", "check_algorithm", "make"]
