"""The Linux bridge: a learning switch that is also an interface of its namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.device.bridge_port import BridgePort
from emu.device.fdb import Fdb
from emu.device.netdevice import ETHERNET_HEADER_BYTES, NetDevice, check_mac
from emu.kernel.errors import Conflict, NotFound, NotSupported
from emu.kernel.tap import DIRECTION_OUT
from emu.wire.address import ZERO_MAC
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.upper import BridgeNetfilter
    from emu.kernel import Kernel

DEFAULT_MTU = 1500


class Bridge(NetDevice):
    """A bridge with its ports, forwarding database and own interface (FACTS 6 and 23 to 31).

    mac: six bytes, then it is fixed (Docker sets it); None: the lowest MAC of the ports, zero without ports.
    mtu: bytes, then it is fixed; None: the smallest MTU of the ports, 1500 without ports. It does not limit forwarding.
    ports: newest first, which is the order of flooding. fdb: the forwarding database.
    netfilter: the hooks of br_netfilter, None when it is off (set it with `set_netfilter`).

    The bridge's tap sees every frame that is forwarded, once and as coming in, plus what the namespace receives and
    sends through the bridge, like tcpdump in promiscuous mode.

    Limits: no spanning tree, no VLAN filtering; multicast is flooded to all ports, as Linux does while there is no
    IGMP querier. Frames to 01:80:c2:00:00:02 to :0f are not handed to programs.
    """

    __slots__ = (
        "_has_fixed_mac",
        "_has_fixed_mtu",
        "_ports_by_device",
        "fdb",
        "forward_cost_ns",
        "netfilter",
        "ports",
    )

    kind = "bridge"

    def __init__(self, kernel: Kernel, name: str, mac: bytes | None = None, mtu: int | None = None) -> None:
        super().__init__(kernel, name, ZERO_MAC if mac is None else mac, DEFAULT_MTU if mtu is None else mtu)
        self._has_fixed_mac = mac is not None
        self._has_fixed_mtu = mtu is not None
        self.ports: list[BridgePort] = []
        self._ports_by_device: dict[NetDevice, BridgePort] = {}
        self.netfilter: BridgeNetfilter | None = None
        self.forward_cost_ns = 0
        self.fdb = Fdb(self)
        if mac is not None:
            self.fdb.add_local(mac, None)

    # -- the bridge's own traffic -------------------------------------------------------------------------------------

    def transmit(self, frame: Frame, /) -> bool:
        """Send a frame of this namespace out of the ports; True unless it is down (what ports refuse is silent)."""
        if not self.is_up:
            self.drop_sent(frame, DropReason.DEVICE_DOWN)
            return True
        if not self.carrier:
            self.drop_sent(frame, DropReason.NO_CARRIER)
            return True
        cpu = self._cpu
        if cpu is not None:
            cpu.busy_until_ns += self.forward_cost_ns
        data = frame.data
        self.tx_packets += 1
        self.tx_bytes += len(data)
        tap = self.tap
        if tap is not None:
            tap(self.kernel.now, frame, DIRECTION_OUT)
        entry = None if data[0] & 1 else self.fdb.lookup(data[:6])
        if entry is None or entry.port is None:
            self.flood(frame, None, False)
        elif entry.port.forwards:
            entry.port.output(frame, False)
        else:
            entry.port.device.drop(frame, DropReason.BRIDGE_PORT_DISABLED)
        return True

    def deliver_locally(self, frame: Frame) -> None:
        """Hand a frame to the bridge's own namespace (the tap has seen it)."""
        self.rx_packets += 1
        self.rx_bytes += len(frame.data)
        upper = self.upper
        if upper is not None:
            upper(frame)

    def receive(self, frame: Frame) -> None:
        """A bridge has no wire of its own."""
        raise AssertionError(f"{self.label}: frames come in at ports, not at the bridge")

    def flood(self, frame: Frame, in_port: BridgePort | None, reassembled: bool) -> None:
        """Send a frame out of every forwarding port but the one it came from, newest port first."""
        netfilter = self.netfilter
        unicast = not frame.data[0] & 1
        size = len(frame.data) - ETHERNET_HEADER_BYTES
        passes = netfilter is None or in_port is None or netfilter.forwards_all
        sent = False
        for port in self.ports:
            if not port.forwards or (port is in_port and not port.hairpin) or (unicast and not port.flood):
                continue
            sent = True
            device = port.device
            if not passes and netfilter is not None and in_port is not None \
                    and not netfilter.forward(frame, in_port, port):  # fmt: skip
                continue
            if netfilter is None or (size <= device.mtu and not reassembled):
                device.transmit(frame)
            else:
                port.output(frame, reassembled)
        if unicast and not sent:
            self.drop(frame, DropReason.BRIDGE_NO_PORT)

    def allows(self, frame: Frame, in_port: BridgePort, out_port: BridgePort) -> bool:
        """Ask netfilter, if it is on, whether a frame may be forwarded."""
        netfilter = self.netfilter
        return netfilter is None or netfilter.forward(frame, in_port, out_port)

    # -- ports --------------------------------------------------------------------------------------------------------

    def add_port(self, device: NetDevice, hairpin: bool = False) -> BridgePort:
        """Make a device a port (`ip link set … master …`) and return the port.

        Raises `Conflict` when it is a port already, `NotSupported` for a device that cannot be one.
        """
        if device.master is not None:
            raise Conflict(f"{device.label} is already a port of {device.master.label}")
        if not device.can_be_port:
            raise NotSupported(f"a {device.kind} device such as {device.label} cannot be a port of a bridge")
        assert device.kernel is self.kernel, f"{device.label} and {self.label} belong to different emulations"
        port = BridgePort(self, device, hairpin)
        self.ports.insert(0, port)
        self._ports_by_device[device] = port
        device.join_master(self)
        device.change_listeners.append(self._port_changed)
        self.fdb.add_local(device.mac, port)
        self._port_changed(device)
        return port

    def remove_port(self, device: NetDevice) -> None:
        """Take a device out of the bridge; everything known behind it is forgotten.

        Raises `NotFound` when it is not a port of this bridge.
        """
        port = self.port(device)
        del self._ports_by_device[device]
        self.ports.remove(port)
        device.change_listeners.remove(self._port_changed)
        device.upper = None
        device.join_master(None)
        self.fdb.flush_port(port)
        self._remove_port_mac(port)
        self._update_from_ports()

    def port(self, device: NetDevice) -> BridgePort:
        """Return the port of a device; raises `NotFound` when it is none of this bridge's."""
        port = self._ports_by_device.get(device)
        if port is None:
            raise NotFound(f"{device.label} is not a port of {self.label}")
        return port

    def _port_changed(self, device: NetDevice) -> None:
        """Follow a port's device: it went up or down, or got another MAC or MTU."""
        port = self._ports_by_device[device]
        if port.was_running and not device.running:
            self.fdb.flush_port(port)  # link down forgets what was learned there (FACT 27)
        port.was_running = device.running
        if port.mac != device.mac:
            self._remove_port_mac(port)
            port.mac = device.mac
            self.fdb.add_local(device.mac, port)
        port.refresh()
        self._update_from_ports()

    def _remove_port_mac(self, port: BridgePort) -> None:
        """Remove a port's own address from the FDB; another owner of the same address takes over."""
        mac = port.mac
        self.fdb.remove_local(mac, port)
        if self.mac == mac:
            self.fdb.add_local(mac, None)
        for other in reversed(self.ports):
            if other is not port and other.mac == mac:
                self.fdb.add_local(mac, other)
                return

    def _update_from_ports(self) -> None:
        """Recompute what the bridge takes from its ports: carrier, MAC and MTU."""
        carrier = any(port.forwards for port in self.ports)
        mtu = self.mtu
        if not self._has_fixed_mtu:
            mtu = min((port.device.mtu for port in self.ports), default=DEFAULT_MTU)
        mac = self.mac
        if not self._has_fixed_mac:
            mac = min((port.mac for port in self.ports), default=ZERO_MAC)
        if mac != self.mac:
            self._replace_mac(mac)
        elif (carrier, mtu) == (self.carrier, self.mtu):
            return
        self.carrier, self.mtu = carrier, mtu
        self._changed()

    def _replace_mac(self, mac: bytes) -> None:
        old, self.mac = self.mac, mac
        self.fdb.remove_local(old, None)
        for port in reversed(self.ports):
            if port.mac == old:
                self.fdb.add_local(old, port)
        if mac != ZERO_MAC:
            self.fdb.add_local(mac, None)

    # -- settings -----------------------------------------------------------------------------------------------------

    def set_netfilter(self, netfilter: BridgeNetfilter | None) -> None:
        """Switch the hooks of br_netfilter on or (None) off."""
        self.netfilter = netfilter
        self._refresh_ports()

    def set_mac(self, mac: bytes) -> None:
        """Fix the bridge's MAC address; it no longer follows the ports."""
        self._replace_mac(check_mac(mac, self.name, may_be_zero=False))
        self._has_fixed_mac = True
        self._changed()

    def set_mtu(self, mtu: int) -> None:
        """Fix the bridge's MTU; it no longer follows the ports."""
        super().set_mtu(mtu)
        self._has_fixed_mtu = True

    def set_ageing(self, ageing: int | str) -> None:
        """Set how long an address is remembered ("300s", or nanoseconds)."""
        self.fdb.set_ageing(ageing)

    def flush_cache(self) -> None:
        """Forget all remembered forwarding decisions: something they depended on has changed."""
        for port in self.ports:
            if port.cache:
                port.cache.clear()

    def _update_carrier(self) -> None:
        """Going up or down switches all ports."""
        self._refresh_ports()
        self.carrier = any(port.forwards for port in self.ports)

    def _cpu_changed(self) -> None:
        self.forward_cost_ns = 0 if self.cpu is None else self.cpu.costs.bridge
        self._refresh_ports()

    def _refresh_ports(self) -> None:
        for port in self.ports:
            port.refresh()

    def delete(self) -> None:
        """Delete the bridge; its ports become plain devices again."""
        for port in tuple(self.ports):
            self.remove_port(port.device)
        super().delete()
