"""A network interface, as a script holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.kernel.errors import NotFound, NotSupported
from emu.settings import UNCHANGED, Unchanged, changed_settings
from emu.wire.address import mac_to_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emu.device.cable_direction import CableDirection
    from emu.device.impairments.loss import GilbertElliott
    from emu.device.impairments.statistics import LineStatistics
    from emu.device.netdevice import NetDevice
    from emu.device.queues.codel import CoDel
    from emu.device.queues.red import Red
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
        if not isinstance(name, str) or name not in namespace.devices:
            known = ", ".join(namespace.devices)
            shown = f'"{name}"' if isinstance(name, str) else repr(name)
            raise NotFound(f"{owner} has no interface {shown}; it has {known}")
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

    @property
    def statistics(self) -> LineStatistics:
        """What happened to frames it sent since its impairments were last changed: loss, delay, rate, queue.

        Raises NotSupported for interfaces without a line of their own, such as a bridge.
        """
        return self._direction.statistics

    @property
    def statistics_history(self) -> list[LineStatistics]:
        """The same for each time its impairments were changed after frames had been sent; the last is the present."""
        direction = self._direction
        return [*direction.history, direction.statistics]

    @property
    def _direction(self) -> CableDirection:
        direction: CableDirection | None = getattr(self.device, "direction", None)
        if direction is None:
            raise NotSupported(f"{self.label}: a {self.device.kind} device has no line of its own")
        return direction

    def set(
        self,
        *,
        rate: str | int | Unchanged | None = UNCHANGED,
        delay: str | int | Unchanged | None = UNCHANGED,
        jitter: str | int | Unchanged | None = UNCHANGED,
        loss: float | str | GilbertElliott | Unchanged | None = UNCHANGED,
        reorder: float | str | Unchanged | None = UNCHANGED,
        duplicate: float | str | Unchanged | None = UNCHANGED,
        corrupt: float | str | Unchanged | None = UNCHANGED,
        queue: str | int | CoDel | Red | Unchanged | None = UNCHANGED,
        burst: str | int | Unchanged | None = UNCHANGED,
        distribution: str | Sequence[float] | Unchanged | None = UNCHANGED,
    ) -> None:
        """Change what happens to frames this interface sends, as `tc` does; None takes a setting back to its default.

        The parameters are those of `Emulation.add_link`. On a veth a rate counts the bytes of the frame only. An
        interface at the end of a link changes that direction of the link, as `link.set(..., toward=...)` does.
        Raises InvalidValue for bad values, NotSupported for what this kind of device can't do.
        """
        self.device.set(
            **changed_settings(
                rate=rate, delay=delay, jitter=jitter, loss=loss, reorder=reorder, duplicate=duplicate,
                corrupt=corrupt, queue=queue, burst=burst, distribution=distribution,
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
