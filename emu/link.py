"""A cable of the underlay, its ends, and the switch that joins several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.device.bridge import Bridge
from emu.kernel.errors import InvalidValue
from emu.settings import UNCHANGED, Unchanged, changed_settings
from emu.stack.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emu.device.cable import Cable
    from emu.device.ethernet import EthernetPort
    from emu.device.impairments.loss import GilbertElliott
    from emu.device.impairments.statistics import LineStatistics
    from emu.device.queues.codel import CoDel
    from emu.device.queues.red import Red
    from emu.emulation import Emulation
    from emu.host import Host

BRIDGE_NAME = "br0"


class Switch:
    """An Ethernet switch of the underlay: a learning bridge in a namespace of its own. Made by `net.add_switch`.

    Limits: no spanning tree, no VLANs; switching takes no time.
    """

    def __init__(self, net: Emulation, name: str, mac: bytes) -> None:
        self.net = net
        self.name = name
        self.namespace = Namespace(net.kernel, name, on_device_added=net.interfaces.add)
        self.bridge = Bridge(net.kernel, BRIDGE_NAME, mac)
        self.namespace.add_device(self.bridge)
        self.bridge.set_up()

    def __repr__(self) -> str:
        return f"<Switch {self.name}>"


@dataclass(frozen=True, slots=True)
class Port:
    """One end of a cable: whose it is, and the device."""

    owner: Host | Switch
    device: EthernetPort


class Link:
    """A cable between two hosts or switches. Made by `net.add_link`.

    ends: its two ports. What is set holds for frames that are sent from now on; a rate also for those that wait.
    """

    def __init__(self, ends: tuple[Port, Port], cable: Cable, given_subnet: str | None) -> None:
        self.ends = ends
        self.cable = cable
        self.given_subnet = given_subnet

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
        toward: Host | Switch | None = None,
    ) -> None:
        """Change what the cable does to frames; None takes a setting back to its default.

        toward: the end that receives the frames; None for both directions. The other parameters are those of
        `Emulation.add_link`. Raises InvalidValue, and then nothing has changed.
        """
        changes = changed_settings(
            rate=rate, delay=delay, jitter=jitter, loss=loss, reorder=reorder, duplicate=duplicate,
            corrupt=corrupt, queue=queue, burst=burst, distribution=distribution,
        )  # fmt: skip
        if toward is None:
            self.cable.set(**changes)
        else:
            self._sender_toward(toward).set(**changes)

    def _sender_toward(self, receiver: Host | Switch) -> EthernetPort:
        """The port that sends to one of the ends."""
        for port, other in (self.ends, self.ends[::-1]):
            if other.owner is receiver:
                return port.device
        names = " and ".join(port.owner.name for port in self.ends)
        raise InvalidValue(f"toward={getattr(receiver, 'name', receiver)!r}: the link joins {names}, give one of them")

    @property
    def statistics(self) -> dict[str, LineStatistics]:
        """What happened to frames since the settings were last changed, by the name of the interface that sent them."""
        return {direction.source.label: direction.statistics for direction in self.cable.directions}

    @property
    def text(self) -> str:
        """What it does to frames, in words: "rate 1Gbit delay 50us"; both directions where they differ."""
        there, back = (direction.impairments.text() for direction in self.cable.directions)
        return there if there == back else f"{there or 'perfect'} / {back or 'perfect'}"

    def up(self) -> None:
        """Plug the cable in."""
        self.cable.up()

    def down(self) -> None:
        """Pull the cable out: both ends lose their carrier, frames on the way are lost."""
        self.cable.down()

    def __repr__(self) -> str:
        return f"<Link {self.ends[0].device.label} -- {self.ends[1].device.label}>"
