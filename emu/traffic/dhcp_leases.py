"""The leases a DHCP server has given: who holds which address until when, as a table and as a file's text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from emu.kernel.errors import InvalidValue
from emu.wire.address import ipv4_to_bytes, ipv4_to_text, mac_to_bytes, mac_to_text

OFFERED = "offered"
BOUND = "bound"
RELEASED = "released"
DECLINED = "declined"
STATES = (OFFERED, BOUND, RELEASED, DECLINED)
NEVER_NS = 1 << 62
"""The end of a lease without end."""


@dataclass(slots=True)
class Lease:
    """One address and whoever it was last given to.

    address: 4 bytes. key: the client's identity, see `client_key`; empty for a declined address. mac: 6 bytes.
    state: OFFERED, BOUND, RELEASED or DECLINED. expires_ns: until when the state keeps others away.
    host_name: what the client calls itself, or "".
    """

    address: bytes
    key: bytes
    mac: bytes
    state: str
    expires_ns: int
    host_name: str = ""

    def keeps_others_away(self, now_ns: int) -> bool:
        """Tell whether nobody else may get the address now."""
        return self.state != RELEASED and now_ns < self.expires_ns


class LeaseTable:
    """Leases by address and by client; each client has at most one address, each address at most one client."""

    __slots__ = ("_by_address", "_by_key")

    def __init__(self) -> None:
        self._by_address: dict[bytes, Lease] = {}
        self._by_key: dict[bytes, Lease] = {}

    def of_address(self, address: bytes) -> Lease | None:
        """Return what is known of an address, also when it has expired."""
        return self._by_address.get(address)

    def of_client(self, key: bytes) -> Lease | None:
        """Return the address a client holds or held last."""
        return self._by_key.get(key)

    def put(self, lease: Lease) -> None:
        """Enter a lease instead of what was known of its address and of its client."""
        self.forget(self._by_address.get(lease.address))
        if lease.key:
            self.forget(self._by_key.get(lease.key))
            self._by_key[lease.key] = lease
        self._by_address[lease.address] = lease

    def forget(self, lease: Lease | None) -> None:
        """Remove a lease of this table; None is nothing to do."""
        if lease is not None:
            del self._by_address[lease.address]
            self._by_key.pop(lease.key, None)

    def __iter__(self) -> Iterator[Lease]:
        """Iterate in the order of addresses."""
        return iter([self._by_address[address] for address in sorted(self._by_address)])

    def count_in_use(self, now_ns: int) -> int:
        """Return how many addresses nobody else may get now: offered, bound, or in quarantine."""
        return sum(lease.keeps_others_away(now_ns) for lease in self._by_address.values())

    def to_text(self) -> str:
        """Return the lease file: one JSON object a line, in the order of addresses."""
        return "".join(json.dumps(_to_record(lease)) + "\n" for lease in self)

    @classmethod
    def from_text(cls, text: str) -> LeaseTable:
        """Read a lease file; raises InvalidValue that names the line for anything `to_text` would not write."""
        table = cls()
        for number, line in enumerate(text.splitlines(), 1):
            try:
                table.put(_from_record(json.loads(line)))
            except (ValueError, TypeError, KeyError) as error:
                raise InvalidValue(f"DHCP lease file, line {number}: {error}; expected a line that emu wrote") from None
        return table


def _to_record(lease: Lease) -> dict[str, Any]:
    record = asdict(lease)
    record["address"] = ipv4_to_text(lease.address)
    record["mac"] = mac_to_text(lease.mac)
    record["key"] = lease.key.hex()
    return record


def _from_record(record: dict[str, Any]) -> Lease:
    lease = Lease(**record)
    lease.address = ipv4_to_bytes(record["address"])
    lease.mac = mac_to_bytes(record["mac"])
    lease.key = bytes.fromhex(record["key"])
    if lease.state not in STATES or type(lease.expires_ns) is not int or not isinstance(lease.host_name, str):
        raise ValueError("a field has an impossible value")
    return lease


def client_key(client_id: bytes | None, mac: bytes) -> bytes:
    """Return a client's identity: its client identifier, else hardware type Ethernet and MAC (RFC 2131 section 2)."""
    return client_id or b"\x01" + mac
