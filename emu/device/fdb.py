"""The bridge's forwarding database: which MAC address is behind which port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_time_ns
from emu.wire.address import mac_to_text

if TYPE_CHECKING:
    from emu.device.bridge import Bridge
    from emu.device.bridge_port import BridgePort
    from emu.device.netdevice import NetDevice

DEFAULT_AGEING_NS = 300 * 10**9
"""Linux's ageing_time: 30000 cs (FACT 6)."""

NEVER_NS = 1 << 62
"""The time stamp of entries that do not age."""


class FdbEntry:
    """One address: learned behind a port, or local (the bridge's own, or that of one of its ports).

    port: the port, None for the bridge itself. updated_ns: when a frame from the address was last seen.
    """

    __slots__ = ("is_local", "mac", "port", "updated_ns")

    def __init__(self, mac: bytes, port: BridgePort | None, is_local: bool, updated_ns: int) -> None:
        self.mac = mac
        self.port = port
        self.is_local = is_local
        self.updated_ns = updated_ns


class Fdb:
    """The forwarding database of one bridge.

    ageing_ns: an entry is forgotten when no frame from its address came for so long; 0 switches learning off.

    Ageing is lazy and exact: an entry is gone at the very nanosecond, noticed when somebody asks. Linux forgets it up
    to two seconds later, when its garbage collection comes round (FACT 27). Whatever makes a remembered forwarding
    decision wrong calls the bridge's `flush_cache`.
    """

    __slots__ = ("_bridge", "_entries", "ageing_ns")

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._entries: dict[bytes, FdbEntry] = {}
        self.ageing_ns = DEFAULT_AGEING_NS

    def learn(self, mac: bytes, port: BridgePort) -> FdbEntry | None:
        """Note that a frame from `mac` came in at `port`; a MAC seen elsewhere moves at once (FACT 23).

        Returns the entry, or None for an address that is not learned: a local one, or any with ageing switched off.
        """
        now = self._bridge.kernel.now
        entry = self._entries.get(mac)
        if entry is None:
            if not self.ageing_ns:
                return None
            entry = self._entries[mac] = FdbEntry(mac, port, False, now)
            return entry
        if entry.is_local or not self.ageing_ns:
            return None
        if entry.port is not port:
            entry.port = port
            self._bridge.flush_cache()
        entry.updated_ns = now
        return entry

    def lookup(self, mac: bytes) -> FdbEntry | None:
        """Return the entry of an address, or None when it is unknown or too old."""
        entry = self._entries.get(mac)
        if entry is None or not self._is_too_old(entry):
            return entry
        del self._entries[mac]
        self._bridge.flush_cache()
        return None

    def _is_too_old(self, entry: FdbEntry) -> bool:
        return self._bridge.kernel.now - entry.updated_ns >= self.ageing_ns

    def set_ageing(self, ageing: int | str) -> None:
        """Set the ageing time ("5s", or nanoseconds); it applies to the entries that exist as well.

        Raises `InvalidValue` for anything that is not a time.
        """
        ageing_ns = parse_time_ns(ageing, "ageing time")
        if ageing_ns >= NEVER_NS:
            raise InvalidValue(f"invalid ageing time {ageing!r}: expected less than a hundred years")
        self.entries()  # forgets what was too old already, so that a longer time does not bring it back
        self.ageing_ns = ageing_ns

    # -- local addresses ----------------------------------------------------------------------------------------------

    def add_local(self, mac: bytes, port: BridgePort | None) -> None:
        """Enter an address of the bridge (port None) or of a port; the first owner of an address keeps it."""
        entry = self._entries.get(mac)
        if entry is None or not entry.is_local:
            self._entries[mac] = FdbEntry(mac, port, True, NEVER_NS)
            self._bridge.flush_cache()

    def remove_local(self, mac: bytes, port: BridgePort | None) -> None:
        """Remove a local address if it belongs to `port` (None: the bridge); no decision was ever based on it."""
        entry = self._entries.get(mac)
        if entry is not None and entry.is_local and entry.port is port:
            del self._entries[mac]

    # -- flushing and showing -----------------------------------------------------------------------------------------

    def flush_port(self, port: BridgePort) -> None:
        """Forget what was learned behind a port."""
        for mac in [mac for mac, entry in self._entries.items() if entry.port is port and not entry.is_local]:
            del self._entries[mac]
        self._bridge.flush_cache()

    def forget(self, mac: bytes, port: BridgePort) -> None:
        """Forget an address learned behind a port (`bridge fdb del MAC dev PORT master`); nothing if it isn't there."""
        entry = self._entries.get(mac)
        if entry is not None and entry.port is port and not entry.is_local:
            del self._entries[mac]
            self._bridge.flush_cache()

    def entries(self) -> list[FdbEntry]:
        """Return the live entries, oldest first."""
        stale = [mac for mac, entry in self._entries.items() if self._is_too_old(entry)]
        for mac in stale:
            del self._entries[mac]
        if stale:
            self._bridge.flush_cache()
        return list(self._entries.values())

    def text(self) -> str:
        """Return what `bridge fdb show br NAME` prints, one line per entry, without the multicast addresses."""
        return "".join(map(self._line, self.entries()))

    def port_lines(self, device: NetDevice) -> list[str]:
        """Return the lines about one port of `bridge fdb show dev PORT`, newest first, as Linux lists them."""
        return [
            self._line(entry)
            for entry in reversed(self.entries())
            if entry.port is not None and entry.port.device is device
        ]

    def _line(self, entry: FdbEntry) -> str:
        bridge_name = self._bridge.name
        device = bridge_name if entry.port is None else entry.port.device.name
        permanent = "permanent" if entry.is_local else ""  # learned entries end in a blank, as in Linux
        return f"{mac_to_text(entry.mac)} dev {device} master {bridge_name} {permanent}\n"
