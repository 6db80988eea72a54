"""What a capture says about an interface: the facts that go into a pcapng Interface Description Block."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InterfaceInfo:
    """Describe one captured interface.

    name: unique in the emulation, `<container>:<device>`, such as "web1:eth0" (shown as `frame.interface_name`).
    description: a few words for people, such as "container web1, network shop".
    mac: six bytes, or None for interfaces without an address.
    mtu: the largest IP packet in bytes, or None; shown as part of the description.
    speed_bps: the rate in bit/s, or None if nothing limits it.
    hardware: the kind of device in Linux' words: "veth", "bridge", "vxlan", "loopback", "ethernet".
    """

    name: str
    description: str = ""
    mac: bytes | None = None
    mtu: int | None = None
    speed_bps: int | None = None
    hardware: str = ""

    def __post_init__(self) -> None:
        assert self.name, "a captured interface needs a name"
        assert self.mac is None or len(self.mac) == 6, f"{self.name}: a MAC address of {self.mac!r}"


@dataclass(frozen=True, slots=True)
class InterfaceStatistics:
    """Count what a capture has seen of one interface.

    frames, bytes: what passed the tap, in both directions; bytes are those on the wire, whatever the snaplen.
    missed: frames that the device gave up before they reached its tap (queue full, interface down, …).
    """

    name: str
    frames: int
    bytes: int
    missed: int
