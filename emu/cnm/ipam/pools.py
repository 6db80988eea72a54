"""The default pools an engine chooses subnets from when the user names none."""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from emu.kernel.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class PoolBase:
    """A range that is cut into subnets of one size (`default-address-pools` of the daemon).

    base: the range.
    size: prefix length of the subnets cut from it.
    Raises InvalidValue when the size is shorter than the base's prefix or longer than 32.
    """

    base: ipaddress.IPv4Network
    size: int

    def __post_init__(self) -> None:
        if not self.base.prefixlen <= self.size <= 32:
            raise InvalidValue(
                f"invalid default address pool {self.base}: size {self.size} must be between "
                f"{self.base.prefixlen} and 32"
            )

    def subnets(self, size: int) -> Iterator[ipaddress.IPv4Network]:
        """Cut the base into subnets with the given prefix length, lowest first."""
        return self.base.subnets(new_prefix=size)


def _base(text: str, size: int) -> PoolBase:
    return PoolBase(ipaddress.IPv4Network(text), size)


#: 15 subnets of /16 and 16 of /20: 31 networks, docker0 included. libnetwork ipamutils, FACT 73.
LOCAL_POOLS: tuple[PoolBase, ...] = (
    _base("172.17.0.0/16", 16),
    _base("172.18.0.0/16", 16),
    _base("172.19.0.0/16", 16),
    _base("172.20.0.0/14", 16),
    _base("172.24.0.0/14", 16),
    _base("172.28.0.0/14", 16),
    _base("192.168.0.0/16", 20),
)

#: What a swarm cuts its networks from. libnetwork ipamutils.
GLOBAL_POOLS: tuple[PoolBase, ...] = (_base("10.0.0.0/8", 24),)


class PrefixSet:
    """A set of networks, ordered by address, that may overlap, and answers what overlaps a network."""

    __slots__ = ("_entries",)

    def __init__(self, networks: Iterable[ipaddress.IPv4Network] = ()) -> None:
        self._entries = sorted(_span(network) for network in networks)

    def add(self, network: ipaddress.IPv4Network) -> None:
        """Add a network."""
        insort(self._entries, _span(network))

    def remove(self, network: ipaddress.IPv4Network) -> None:
        """Remove one occurrence of a network that is in the set."""
        index = bisect_left(self._entries, _span(network))
        assert self._entries[index] == _span(network), network
        del self._entries[index]

    def end_of_overlap(self, first: int, last: int) -> int | None:
        """Return the last address of a network that overlaps first..last, or None when none does."""
        # Entries are few (networks of one host), so a plain scan is fast enough and obviously right.
        for entry_first, entry_last in self._entries:
            if entry_first > last:
                break
            if entry_last >= first:
                return entry_last
        return None


def _span(network: ipaddress.IPv4Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


def first_fit(
    bases: Sequence[PoolBase], taken: PrefixSet, reserved: PrefixSet, size: int | None = None
) -> ipaddress.IPv4Network | None:
    """Return the lowest default subnet that overlaps nothing taken or reserved, or None.

    bases: where subnets are cut from, in order.
    size: cut all bases at this prefix length instead of their own.
    """
    for base in bases:
        length = base.size if size is None else size
        if length < base.base.prefixlen:
            continue
        step = 1 << (32 - length)
        candidate = int(base.base.network_address)
        end = int(base.base.broadcast_address)
        while candidate <= end:
            busy_until = _busy_until(taken, reserved, candidate, candidate + step - 1)
            if busy_until is None:
                return ipaddress.IPv4Network((candidate, length))
            candidate = (busy_until // step + 1) * step
    return None


def next_fit(
    bases: Sequence[PoolBase], taken: PrefixSet, reserved: PrefixSet, cursor: int
) -> tuple[ipaddress.IPv4Network, int] | None:
    """Return the next free default subnet after the one handed out last, and the new cursor; or None.

    cursor: number of the subnet to look at first, counted over all bases; the search wraps around.
    """
    counts = [1 << (base.size - base.base.prefixlen) for base in bases]
    total = sum(counts)
    for offset in range(total):
        number = (cursor + offset) % total
        index = number
        which = 0
        while index >= counts[which]:
            index -= counts[which]
            which += 1
        base = bases[which]
        step = 1 << (32 - base.size)
        first = int(base.base.network_address) + index * step
        if _busy_until(taken, reserved, first, first + step - 1) is None:
            return ipaddress.IPv4Network((first, base.size)), (number + 1) % total
    return None


def _busy_until(taken: PrefixSet, reserved: PrefixSet, first: int, last: int) -> int | None:
    ends = [end for end in (taken.end_of_overlap(first, last), reserved.end_of_overlap(first, last))
            if end is not None]  # fmt: skip
    return max(ends) if ends else None
