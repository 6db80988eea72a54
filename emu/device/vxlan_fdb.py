"""The forwarding database of a VXLAN device: behind which tunnel endpoint (VTEP) a MAC address is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emu.device.fdb import DEFAULT_AGEING_NS, NEVER_NS
from emu.kernel.errors import Conflict, InvalidValue, NotFound
from emu.kernel.units import parse_time_ns
from emu.wire.address import (
    ZERO_MAC,
    ipv4_to_bytes,
    ipv4_to_text,
    is_group_mac,
    is_valid_source_mac,
    mac_to_bytes,
    mac_to_text,
)

if TYPE_CHECKING:
    from emu.device.vxlan import VxlanDevice

NS_PER_S = 1_000_000_000


class VxlanFdbEntry:
    """One MAC address and where its frames go.

    remotes: addresses of the VTEPs (4 bytes each); only the flood list and group addresses have several.
    is_permanent: entered by hand or by a control plane; never ages and never moves.
    used_ns: when it was last looked up, for sending or receiving; updated_ns: when it was entered or last seen.
    expires_from_ns: what the age of a learned entry counts from; never for a permanent one.
    is_station: the address may be a sender: neither a group nor all zeros.
    """

    __slots__ = ("expires_from_ns", "is_permanent", "is_station", "mac", "remotes", "updated_ns", "used_ns")

    def __init__(self, mac: bytes, remote: bytes, is_permanent: bool, now_ns: int) -> None:
        self.mac = mac
        self.remotes = [remote]
        self.is_permanent = is_permanent
        self.used_ns = now_ns
        self.updated_ns = now_ns
        self.expires_from_ns = NEVER_NS if is_permanent else now_ns
        self.is_station = is_valid_source_mac(mac)

    def __repr__(self) -> str:
        remotes = ", ".join(map(ipv4_to_text, self.remotes))
        return f"<VxlanFdbEntry {mac_to_text(self.mac)} at {remotes}{' permanent' if self.is_permanent else ''}>"


class VxlanFdb:
    """The entries of one VXLAN device; `add_permanent`, `append`, `replace` and `remove` are what `bridge fdb` does.

    ageing_ns: a learned entry is forgotten when nothing came from its address for so long (300 s).
    The entry of the all-zeros address is the flood list: where broadcasts, multicasts and unknown addresses go.

    Ageing is lazy and exact: an entry is gone at the very nanosecond, noticed when somebody asks. Linux forgets it up
    to ten seconds later, when its scan comes round. Only received frames keep an entry young (as since Linux 6.15;
    before it, sending to the address did, too).
    """

    __slots__ = ("_device", "_entries", "ageing_ns", "known")

    def __init__(self, device: VxlanDevice, ageing_ns: int = DEFAULT_AGEING_NS) -> None:
        self._device = device
        self._entries: dict[bytes, VxlanFdbEntry] = {}
        self.known: Callable[[bytes], VxlanFdbEntry | None] = self._entries.get
        """Gives the entry of an address however old it is (see `lookup`)."""
        self.ageing_ns = ageing_ns

    # -- as `bridge fdb` would ----------------------------------------------------------------------------------------

    def add_permanent(self, mac: str | bytes, remote: str | bytes) -> VxlanFdbEntry:
        """Enter an address for good (`bridge fdb add MAC dev vxlan0 dst REMOTE self permanent`).

        mac, remote: as text or bytes; the all-zeros MAC makes the flood list. Raises `Conflict` when the address has
        a permanent entry already.
        """
        key = _mac(mac)
        if key in self._entries and self._entries[key].is_permanent:
            raise Conflict(f"{self._device.label} has an entry for {mac_to_text(key)} already: file exists")
        return self._enter(key, _remote(remote))

    def replace(self, mac: str | bytes, remote: str | bytes) -> VxlanFdbEntry:
        """Enter an address for good, instead of whatever entry it has (`bridge fdb replace`)."""
        return self._enter(_mac(mac), _remote(remote))

    def append(self, mac: str | bytes, remote: str | bytes) -> VxlanFdbEntry:
        """Add one more VTEP to the flood list or to a group address (`bridge fdb append`).

        Raises `Conflict` when it is in the list already, `InvalidValue` for a unicast address: it is in one place.
        """
        key, address = _mac(mac), _remote(remote)
        if key != ZERO_MAC and not is_group_mac(key):
            raise InvalidValue(f"{mac_to_text(key)}: only 00:00:00:00:00:00 and groups can have several destinations")
        entry = self._entries.get(key)
        if entry is None:
            return self._enter(key, address)
        if address in entry.remotes:
            raise Conflict(f"{ipv4_to_text(address)} is in the flood list of {self._device.label} already: file exists")
        entry.remotes.append(address)
        return entry

    def remove(self, mac: str | bytes, remote: str | bytes | None = None) -> None:
        """Remove an address, or with `remote` one VTEP of it (`bridge fdb del`); raises `NotFound` without such."""
        key = _mac(mac)
        entry = self._entries.get(key)
        address = None if remote is None else _remote(remote)
        if entry is None or (address is not None and address not in entry.remotes):
            where = "" if address is None else f" at {ipv4_to_text(address)}"
            raise NotFound(f"{self._device.label} has no entry for {mac_to_text(key)}{where}: no such file")
        if address is not None and len(entry.remotes) > 1:
            entry.remotes.remove(address)
        else:
            del self._entries[key]
        self._device.flush_flows()

    def flush(self, permanent: bool = False) -> None:
        """Forget the learned entries, with `permanent` all of them."""
        for mac in [mac for mac, entry in self._entries.items() if permanent or not entry.is_permanent]:
            del self._entries[mac]
        self._device.flush_flows()

    def set_ageing(self, ageing: int | str) -> None:
        """Set how long a learned address is remembered ("300s", or nanoseconds); for existing entries as well.

        Raises `InvalidValue` for anything that is not a time. 0 means that they stay.
        """
        ageing_ns = parse_time_ns(ageing, "ageing time")
        self.entries()  # forgets what was too old already
        self.ageing_ns = ageing_ns or NEVER_NS

    def _enter(self, mac: bytes, remote: bytes) -> VxlanFdbEntry:
        entry = VxlanFdbEntry(mac, remote, True, self._device.kernel.now)
        self._entries[mac] = entry
        self._device.flush_flows()
        return entry

    # -- the data path ------------------------------------------------------------------------------------------------

    def lookup(self, mac: bytes) -> VxlanFdbEntry | None:
        """Return the entry of an address, or None when it is unknown or too old."""
        entry = self._entries.get(mac)
        if entry is None or self._device.kernel.now - entry.expires_from_ns < self.ageing_ns:
            return entry
        del self._entries[mac]  # flows that remember it see its age themselves
        return None

    def touch(self, mac: bytes) -> None:
        """Note that an address was asked about, which `bridge -s fdb` shows."""
        entry = self.lookup(mac)
        if entry is not None:
            entry.used_ns = self._device.kernel.now

    def snoop(self, mac: bytes, remote: bytes) -> bool:
        """Learn from a received frame that `mac` is behind `remote`; False when the frame must be dropped.

        It must be when the address has a permanent entry at another VTEP: those do not move.
        """
        entry = self.lookup(mac)
        now_ns = self._device.kernel.now
        if entry is None:
            self._entries[mac] = VxlanFdbEntry(mac, remote, False, now_ns)
            return True
        if entry.remotes[0] != remote:
            if entry.is_permanent:
                return False
            entry.remotes[0] = remote
            self._device.flush_flows()
        entry.used_ns = entry.updated_ns = now_ns
        if not entry.is_permanent:
            entry.expires_from_ns = now_ns
        return True

    # -- showing ------------------------------------------------------------------------------------------------------

    def entries(self) -> list[VxlanFdbEntry]:
        """Return the live entries, newest first, as Linux lists them."""
        return [entry for mac in reversed(list(self._entries)) if (entry := self.lookup(mac)) is not None]

    def text(self, statistics: bool = False) -> str:
        """Return the `self` lines of `bridge fdb show dev NAME`, with `statistics` those of `bridge -s fdb show`.

        A device whose socket is in another namespace shows `link-netnsid 0` there, as in Docker's overlay sandboxes.
        """
        device = self._device
        now_ns = device.kernel.now
        netnsid = " link-netnsid 0" if device.is_across_namespaces else ""
        lines = []
        for entry in self.entries():
            state = "permanent" if entry.is_permanent else ""  # learned entries end in a blank, as in Linux
            ages = f"{(now_ns - entry.used_ns) // NS_PER_S}/{(now_ns - entry.updated_ns) // NS_PER_S}"
            used = f" used {ages}" if statistics else ""
            for remote in entry.remotes:
                destination = f"dst {ipv4_to_text(remote)}{netnsid}{used}"
                lines.append(f"{mac_to_text(entry.mac)} dev {device.name} {destination} self {state}\n")
        return "".join(lines)


def _mac(mac: str | bytes) -> bytes:
    return mac_to_bytes(mac) if isinstance(mac, str) else mac


def _remote(remote: str | bytes) -> bytes:
    return ipv4_to_bytes(remote) if isinstance(remote, str) else remote
