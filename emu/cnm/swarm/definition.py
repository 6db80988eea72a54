"""An overlay network as the manager keeps it, for all nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emu.cnm.ipam.config import IpamSettings
from emu.cnm.network import NetworkPool

OVERLAY = "overlay"
FLOOD_AND_LEARN = "vxlan"
"""The driver name of a network that is not Docker's: VXLAN with a flood list and learning, for comparison."""


@dataclass(slots=True)
class OverlayDefinition:
    """A network of the swarm.

    id: 25 base-36 digits. driver: "overlay", or "vxlan" for a network that floods and learns.
    ipam: what the user said, and the subnets that came of it.
    pools, vnis: one VNI for each subnet. options: the driver's, `vxlanid_list` included.
    mtu: of containers' interfaces. encrypted: between hosts. ingress: the network of the routing mesh.
    allocated: False when its subnets overlap another network: Docker prints an id all the same (FACT 71).
    tasks: by endpoint id, the task that the manager keeps for each container on it.
    """

    id: str
    name: str
    ipam: IpamSettings
    internal: bool
    attachable: bool
    options: Mapping[str, str]
    labels: Mapping[str, str]
    created_ns: int
    mtu: int
    driver: str = OVERLAY
    encrypted: bool = False
    ingress: bool = False
    allocated: bool = False
    pools: list[NetworkPool] = field(default_factory=list)
    vnis: list[int] = field(default_factory=list)
    tasks: dict[str, str] = field(default_factory=dict)

    @property
    def floods(self) -> bool:
        """Whether its hosts flood and learn instead of being told who is where."""
        return self.driver == FLOOD_AND_LEARN
