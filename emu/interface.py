"""A network interface, as a script holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.kernel.errors import NotFound
from emu.settings import UNCHANGED, Unchanged, changed_settings
from emu.wire.address import mac_to_text

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace


@dataclass(frozen=True, slots=True)
class Counters:
    """What `ip -s link` shows, with drops by reason."""

    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int
    drops: dict[str, int]


class Interface:
    """An interface of a host or container; what it is set to holds from now on."""

    def __init__(self, namespace: Namespace | None, device: NetDevice) -> None:
        self.namespace = namespace
        self.device = device

    @classmethod
    def find(cls, namespace: Namespace, name: str, owner: str) -> Interface:
        """The interface of that name. Raises NotFound listing what there is."""
        if name not in namespace.devices:
            known = ", ".join(namespace.devices)
            raise NotFound(f'{owner} has no interface "{name}"; it has {known}')
        return cls(namespace, namespace.device(name))

    @property
    def name(self) -> str:
        """Its name in its namespace, "eth0"."""
        return self.device.name

    @property
    def label(self) -> str:
        """Its name in captures, "web:eth0"."""
        return self.device.label

    @property
    def mac(self) -> str:
        """Its MAC address, "02:42:ac:11:00:02"."""
        return mac_to_text(self.device.mac)

    @property
    def mtu(self) -> int:
        """The largest IP packet in bytes."""
        return self.device.mtu

    @property
    def addresses(self) -> list[str]:
        """Its addresses with prefix, "172.17.0.2/16"."""
        return [] if self.namespace is None else list(self.namespace.addresses(self.device))

    @property
    def counters(self) -> Counters:
        """Frames and bytes in both directions, and drops by reason, so far."""
        device = self.device
        drops = {reason.value: count for reason, count in device.drops.items()}
        return Counters(device.rx_packets, device.rx_bytes, device.tx_packets, device.tx_bytes, drops)

    @property
    def peer(self) -> Interface | None:
        """The other end of its veth pair or cable, wherever that is; None for a bridge or loopback."""
        peer = getattr(self.device, "peer", None)
        return None if peer is None else Interface(None, peer)

    def set(
        self,
        *,
        rate: str | int | Unchanged | None = UNCHANGED,
        delay: str | int | Unchanged | None = UNCHANGED,
        jitter: str | int | Unchanged | None = UNCHANGED,
        loss: float | str | Unchanged | None = UNCHANGED,
        reorder: float | str | Unchanged | None = UNCHANGED,
        duplicate: float | str | Unchanged | None = UNCHANGED,
        corrupt: float | str | Unchanged | None = UNCHANGED,
        queue: str | int | Unchanged | None = UNCHANGED,
    ) -> None:
        """Change what happens to frames this interface sends, as `tc` does; None takes a setting back to its default.

        The parameters are those of `Emulation.add_link`; a rate counts the bytes of the frame only.
        Raises InvalidValue for bad values, NotSupported for what this kind of device can't do.
        """
        self.device.set(
            **changed_settings(
                rate=rate, delay=delay, jitter=jitter, loss=loss, reorder=reorder, duplicate=duplicate,
                corrupt=corrupt, queue=queue,
            )
        )  # fmt: skip

    def up(self) -> None:
        """Set the interface up."""
        self.device.set_up()

    def down(self) -> None:
        """Set the interface down: what it had learned and queued is gone."""
        self.device.set_down()

    def __repr__(self) -> str:
        return f"<Interface {self.label} {self.mac}>"
