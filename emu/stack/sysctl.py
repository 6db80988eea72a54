"""Kernel settings of one namespace, under the names and with the defaults that `sysctl` shows on Linux."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from emu.kernel.errors import InvalidValue, NotFound
from emu.stack.tcp.settings import LIMITS as TCP_LIMITS
from emu.stack.tcp.settings import SYSCTLS as TCP_SYSCTLS

DEFAULTS: dict[str, int] = {
    "net.ipv4.ip_forward": 0,
    "net.ipv4.ip_default_ttl": 64,
    "net.ipv4.ip_local_port_range_min": 32768,
    "net.ipv4.ip_local_port_range_max": 60999,
    "net.ipv4.icmp_ratelimit": 1000,
    "net.ipv4.icmp_ratemask": 6168,
    "net.ipv4.icmp_msgs_per_sec": 1000,
    "net.ipv4.icmp_msgs_burst": 50,
    "net.ipv4.icmp_echo_ignore_all": 0,
    "net.ipv4.icmp_echo_ignore_broadcasts": 1,
    "net.ipv4.ipfrag_time": 30,
    "net.ipv4.ipfrag_high_thresh": 4 * 1024 * 1024,
    "net.ipv4.route.mtu_expires": 600,
    "net.ipv4.route.min_pmtu": 552,
    "net.core.rmem_default": 212992,
    "net.core.somaxconn": 4096,
    **TCP_SYSCTLS,
    "net.bridge.bridge-nf-call-iptables": 0,
}
"""Settings of the whole namespace (FACTS 8, 36). `bridge-nf-call-iptables` is 0 until br_netfilter is loaded, as the
engine does. Linux's one `ip_local_port_range` is split in two integers."""

LIMITS: dict[str, tuple[int, int]] = {
    "net.ipv4.ip_default_ttl": (1, 255),
    "net.ipv4.ip_local_port_range_min": (1, 65535),
    "net.ipv4.ip_local_port_range_max": (1, 65535),
    **TCP_LIMITS,
}
"""The least and the most that a setting may be, where Linux has limits."""

NEIGHBOUR_DEFAULTS: dict[str, int] = {
    "base_reachable_time_ms": 30000,
    "delay_first_probe_time": 5,
    "retrans_time_ms": 1000,
    "ucast_solicit": 3,
    "mcast_solicit": 3,
    "unres_qlen_bytes": 212992,
    "locktime": 100,
}
"""Per-device settings `net.ipv4.neigh.<device>.*` (FACT 22); locktime counts hundredths of a second."""

_NEIGHBOUR_PREFIX = "net.ipv4.neigh."


class Sysctls:
    """The settings of one namespace, used like a dict from Linux names to integers.

    A `net.ipv4.neigh.<device>.<setting>` that was not set follows `net.ipv4.neigh.default.<setting>`.
    on_change: called with the name after every change.
    Raises NotFound for a setting that has no meaning here (nothing is accepted and then ignored), InvalidValue for
    a value that is not an integer of at least 0, or outside of the setting's range.
    Limits: the range of local ports is two settings, `…port_range_min` and `…port_range_max`.
    """

    __slots__ = ("_on_change", "_values")

    def __init__(self, initial: Mapping[str, int] | None, on_change: Callable[[str], None]) -> None:
        self._values = dict(DEFAULTS)
        for setting, value in NEIGHBOUR_DEFAULTS.items():
            self._values[f"{_NEIGHBOUR_PREFIX}default.{setting}"] = value
        self._on_change = on_change
        for name, value in (initial or {}).items():
            self[name] = value

    def __getitem__(self, name: str) -> int:
        value = self._values.get(name)
        if value is not None:
            return value
        device, setting = _split_neighbour_name(name)
        if device is None:
            raise _unknown(name)
        return self._values[f"{_NEIGHBOUR_PREFIX}default.{setting}"]

    def __setitem__(self, name: str, value: int) -> None:
        if name not in self._values and _split_neighbour_name(name)[0] is None:
            raise _unknown(name)
        if type(value) is not int or value < 0:
            raise InvalidValue(f'sysctl "{name}": expected an integer of at least 0, got {value!r}')
        least, most = LIMITS.get(name, (value, value))
        if not least <= value <= most:
            raise InvalidValue(f'sysctl "{name}": expected {least} to {most}, got {value}')
        self._values[name] = value
        self._on_change(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._values or _split_neighbour_name(name)[0] is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._values))

    def neighbour(self, device_name: str, setting: str) -> int:
        """Return a neighbour setting as it applies to the named device."""
        return self[f"{_NEIGHBOUR_PREFIX}{device_name}.{setting}"]

    def text(self) -> str:
        """Return all settings as `sysctl -a` prints them."""
        return "".join(f"{name} = {self._values[name]}\n" for name in self)


def _split_neighbour_name(name: str) -> tuple[str | None, str]:
    """Split `net.ipv4.neigh.eth0.locktime` into device and setting; (None, "") when it is something else."""
    if name.startswith(_NEIGHBOUR_PREFIX):
        device, _, setting = name[len(_NEIGHBOUR_PREFIX) :].rpartition(".")
        if device and setting in NEIGHBOUR_DEFAULTS:
            return device, setting
    return None, ""


def _unknown(name: str) -> NotFound:
    return NotFound(f'sysctl "{name}" is not known here: see emu/stack/sysctl.py for the settings that exist')
