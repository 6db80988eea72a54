"""Network devices and wires: what moves frames inside a host and between hosts.

`netdevice` is what every interface has; `wired` and its two kinds, `veth` and `ethernet`, sit at the ends of a `cable`,
which is a `line` each way, set up by `cable_direction`, with `impairments` and `queues` (`queued_line` when a queue
needs events of its own, `rescheduling` when a rate changes); `bridge` with `bridge_port` and `fdb` is the Linux
bridge; `vxlan` with `vxlan_send`, `vxlan_fdb`, `vxlan_socket` and `vxlan_answer` is the tunnel of overlay networks;
`loopback` is `lo`; `cost` is the host's CPU. A device knows no stack: it hands frames to `upper`, and asks through the
protocols in `upper`.
"""

from emu.device.bridge import Bridge
from emu.device.bridge_port import BridgePort
from emu.device.cable import Cable
from emu.device.cable_direction import CableDirection
from emu.device.cost import CostModel, HostCpu, parse_cost
from emu.device.ethernet import EthernetPort, connect
from emu.device.fdb import Fdb, FdbEntry
from emu.device.impairments.settings import Impairments
from emu.device.loopback import LoopbackDevice
from emu.device.netdevice import NetDevice
from emu.device.upper import BridgeNetfilter
from emu.device.veth import VethDevice, create_veth
from emu.device.vxlan import VxlanDevice
from emu.device.vxlan_fdb import VxlanFdb, VxlanFdbEntry
from emu.device.wired import WiredDevice

__all__ = [
    "Bridge",
    "BridgeNetfilter",
    "BridgePort",
    "Cable",
    "CableDirection",
    "CostModel",
    "EthernetPort",
    "Fdb",
    "FdbEntry",
    "HostCpu",
    "Impairments",
    "LoopbackDevice",
    "NetDevice",
    "VethDevice",
    "VxlanDevice",
    "VxlanFdb",
    "VxlanFdbEntry",
    "WiredDevice",
    "connect",
    "create_veth",
    "parse_cost",
]
