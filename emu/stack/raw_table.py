"""The raw table's PREROUTING drops: an address that may be reached through one interface only.

Docker engines from 28 on enter every container address with the bridge it lives on, so that packets which reach the
host in any other way (routed straight to the container, or from another bridge) are dropped before anything else looks
at them: neither connection tracking nor the bridge's own interface sees them (FACTS 47 and 49, FACTS29 13).
"""

from __future__ import annotations

from emu.wire.address import ipv4_to_text


class RawTable:
    """Rules `-d <address>/32 ! -i <device> -j DROP`, one per address.

    dropped: how many packets the rules have dropped.
    Limits: no other matches and targets. Asked about packets that come in at bridges only: while there is no address
    translation, an answer from outside comes back to the container's own address, which a real host would never see.
    """

    __slots__ = ("_devices", "dropped")

    def __init__(self) -> None:
        self._devices: dict[bytes, str] = {}
        self.dropped = 0

    def protect(self, address: bytes, device: str) -> None:
        """Let packets to an address (4 bytes) in through one device only; an earlier rule for it is replaced."""
        self._devices[address] = device

    def release(self, address: bytes) -> None:
        """Remove the rule of an address; nothing happens when there is none."""
        self._devices.pop(address, None)

    def drops(self, in_device: str, destination: bytes) -> bool:
        """Return whether a packet to `destination` that came in at `in_device` is dropped, and count it."""
        device = self._devices.get(destination)
        if device is None or device == in_device:
            return False
        self.dropped += 1
        return True

    def text(self) -> str:
        """Return the rules as `iptables-save -t raw` prints them."""
        return "".join(
            f"-A PREROUTING -d {ipv4_to_text(address)}/32 ! -i {device} -j DROP\n"
            for address, device in self._devices.items()
        )
