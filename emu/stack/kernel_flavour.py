"""What differs between Linux kernels, as sysctls: a container with the habits of an older one."""

from __future__ import annotations

import re

from emu.kernel.errors import InvalidValue

RECORDED = "6.18"
"""The kernel of the recordings, whose habits are the defaults."""
CHANGES: tuple[tuple[tuple[int, int], dict[str, int], dict[str, int]], ...] = (
    ((6, 5), {"net.ipv4.tcp_syn_linear_timeouts": 0}, {"net.ipv4.tcp_syn_linear_timeouts": 4}),
)
"""Version that brought a change, the settings before it, and those since (FACT 43)."""


def kernel_sysctls(version: str) -> dict[str, int]:
    """Return the sysctls that make a namespace behave like that Linux version where emu knows of a difference.

    version: "6.18" is the recorded one; "5.15" repeats SYNs after 1, 3, 7, 15, 31 and 63 s, as kernels before 6.5 do.
    For `containers.run(..., sysctls=emu.kernel_sysctls("5.15"))`. Raises InvalidValue for what is no version.
    """
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(\.\d+)?", version) if isinstance(version, str) else None
    if match is None:
        raise InvalidValue(f'kernel version {version!r}: expected two numbers such as "5.15" or "{RECORDED}"')
    numbers = int(match[1]), int(match[2])
    settings: dict[str, int] = {}
    for since, before, after in CHANGES:
        settings |= after if numbers >= since else before
    return settings
