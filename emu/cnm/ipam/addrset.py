"""The addresses of one pool: which are taken, and which comes next."""

from __future__ import annotations

import ipaddress

from emu.cnm.ipam.bitmap import Bitmap


class AddressSet:
    """Taken and free addresses of a subnet.

    The network and the broadcast address are taken from the start; with `small_usable` not those of a
    /31 (RFC 3021) or a /32.

    subnet: the subnet.
    small_usable: whether both addresses of a /31 and the one of a /32 may be handed out.
    """

    __slots__ = ("_base", "_bitmap", "_cursor", "subnet")

    def __init__(self, subnet: ipaddress.IPv4Network, *, small_usable: bool) -> None:
        self.subnet = subnet
        self._base = int(subnet.network_address)
        self._bitmap = Bitmap(subnet.num_addresses)
        self._cursor = 0
        if subnet.prefixlen <= 30 or not small_usable:
            self._bitmap.set(0)
            self._bitmap.set(subnet.num_addresses - 1)

    @property
    def count_in_use(self) -> int:
        """Return how many addresses are taken, the reserved ones included."""
        return self._bitmap.count

    def count_free(self, within: ipaddress.IPv4Network | None = None) -> int:
        """Return how many addresses are free, in the whole subnet or within a part of it."""
        if within is None:
            return self._bitmap.size - self._bitmap.count
        first = int(within.network_address) - self._base
        return within.num_addresses - self._bitmap.count_between(first, first + within.num_addresses - 1)

    def take(self, address: int) -> bool:
        """Take one address, given as a number; return False if it is taken already."""
        return self._bitmap.set(address - self._base)

    def take_next(self, within: ipaddress.IPv4Network | None = None, *, serial: bool = False) -> int | None:
        """Take and return a free address as a number, or None when there is none.

        within: part of the subnet to choose from; None is all of it.
        serial: continue after the address handed out last and wrap around at the end
            (else: the lowest free one).
        """
        part = self.subnet if within is None else within
        first = int(part.network_address) - self._base
        last = first + part.num_addresses - 1
        start = self._cursor if serial and first <= self._cursor <= last else first
        ordinal = self._bitmap.first_clear(start)
        if (ordinal is None or ordinal > last) and start > first:
            ordinal = self._bitmap.first_clear(first)
        if ordinal is None or ordinal > last:
            return None
        self._bitmap.set(ordinal)
        if serial:
            self._cursor = ordinal + 1
        return self._base + ordinal

    def give_back(self, address: int) -> bool:
        """Free one address, given as a number; return False if it was free."""
        return self._bitmap.clear(address - self._base)
