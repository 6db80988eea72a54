"""A network namespace: devices, addresses, routes, neighbours, rules and sockets, as in Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from emu.device.bridge import Bridge
from emu.device.loopback import LoopbackDevice
from emu.device.vxlan import VxlanDevice
from emu.kernel.errors import Conflict, InvalidValue, NotFound
from emu.stack import arp, show, show_sockets
from emu.stack.bridge_netfilter import BridgeNetfilter
from emu.stack.forward import Forwarding
from emu.stack.forward_chain import Filter
from emu.stack.icmp import PROTOCOL_ICMP, Icmp
from emu.stack.ident import IdentCounters
from emu.stack.input_chain import InputChain
from emu.stack.interface import Interface, InterfaceAddress
from emu.stack.ipv4 import Ipv4Input
from emu.stack.neighbour import NeighbourTable
from emu.stack.output import Ipv4Output, Path
from emu.stack.packet_socket import OnFrame, PacketSocket, Wants
from emu.stack.ping_socket import PingSocket
from emu.stack.pmtu import PmtuCache
from emu.stack.raw_socket import RawSocket
from emu.stack.raw_table import RawTable
from emu.stack.resolver import ResolverSettings
from emu.stack.route import RouteTable
from emu.stack.sysctl import Sysctls
from emu.stack.tcp_input import TcpReceiveFlow
from emu.stack.tcp_protocol import Tcp
from emu.stack.tcp_socket import TcpSocket
from emu.stack.udp import PROTOCOL_UDP, ReceiveFlow, Udp
from emu.stack.udp_socket import UdpSocket
from emu.stack.udp_tunnel import TunnelReceiveFlow, UdpTunnels
from emu.stack.xfrm import Xfrm
from emu.wire.address import ipv4_to_bytes, ipv4_to_text
from emu.wire.drop import DropReason
from emu.wire.tcp import PROTOCOL_TCP

if TYPE_CHECKING:
    from emu.device.cost import CostModel, HostCpu
    from emu.device.netdevice import NetDevice
    from emu.kernel import Kernel
    from emu.wire.offload import Offload

NS_PER_S = 1_000_000_000
BRIDGE_NETFILTER_SYSCTL = "net.bridge.bridge-nf-call-iptables"


class Namespace:
    """The network stack of one container or host.

    kernel: the emulation's clock. name: prefix of the labels of its devices. cpu: the CPU that its work costs time
    on; None for work that takes no time. cost: the cost model, default the CPU's own.
    on_device_added: called with each device that joins. sysctls: initial settings, by Linux name.

    devices: name -> device. routes, neighbours, filter, sysctl: as `ip route`, `ip neigh`, `iptables -S FORWARD` and
    `sysctl` would show them; input_chain: as `iptables -S INPUT` would; raw: the drops of iptables' raw table.
    tunnels: UDP ports of tunnel devices (VXLAN). xfrm: IPsec. resolver: as /etc/resolv.conf would say.
    generation: grows whenever a cached way out may have become wrong.
    offload: its sockets leave checksums and cutting TCP segments to the hardware (see `emu.wire.offload`). Set it
        before they are used; network cards on the way must be told to `finish_offloads`.
    """

    def __init__(
        self,
        kernel: Kernel,
        name: str,
        *,
        cpu: HostCpu | None = None,
        cost: CostModel | None = None,
        on_device_added: Callable[[NetDevice], None] | None = None,
        sysctls: Mapping[str, int] | None = None,
    ) -> None:
        self.kernel = kernel
        self.name = name
        self.cpu = cpu
        self.on_device_added = on_device_added
        self.generation = 0
        self.ip_forward = False
        self.default_ttl = 64
        self.offload = False
        self._verify_checksums = False
        self.receive_flows: dict[bytes, ReceiveFlow | TunnelReceiveFlow | TcpReceiveFlow] = {}
        self.devices: dict[str, NetDevice] = {}
        self.interfaces: dict[str, Interface] = {}
        self.loopback: Interface | None = None
        self.local_addresses: dict[bytes, int] = {}
        self._broadcasts: dict[bytes, list[Interface]] = {}
        self._known_states: dict[str, tuple[bool, bool, bytes, int]] = {}
        self._bridge_netfilters: dict[str, BridgeNetfilter] = {}
        self._next_ifindex = 1
        self._last_output_accepted = True
        self.sysctl = Sysctls(sysctls, self._sysctl_changed)
        self.routes = RouteTable(self.flush_caches)
        self.neighbours = NeighbourTable(self.interfaces)
        self.raw = RawTable()
        self.resolver = ResolverSettings()
        self.filter = Filter()
        self.filter.on_change(self._rules_changed)
        self.input_chain = InputChain(self.flush_caches)
        self.pmtu = PmtuCache()
        self.idents = IdentCounters(kernel.random(f"IP identification of {name}"))
        self.socket_random = kernel.random(f"sockets of {name}")
        self.output = Ipv4Output(self)
        self.forwarding = Forwarding(self)
        self.icmp = Icmp(self)
        self.tunnels = UdpTunnels(self)
        self.udp = Udp(self)
        self.tcp = Tcp(self)
        self.ipv4 = Ipv4Input(self)
        self.ipv4.handlers[PROTOCOL_ICMP] = self.icmp.receive
        self.ipv4.handlers[PROTOCOL_UDP] = self.udp.receive
        self.ipv4.handlers[PROTOCOL_TCP] = self.tcp.receive
        self.icmp.error_handlers[PROTOCOL_UDP] = self.udp.error_arrived
        self.icmp.error_handlers[PROTOCOL_TCP] = self.tcp.error_arrived
        self.xfrm = Xfrm(self)
        self._read_costs(cost)
        self._read_sysctls()

    def _read_costs(self, cost: CostModel | None) -> None:
        """Copy what the stack charges for into plain attributes; all zero without a CPU."""
        costs: Any = cost
        if costs is None and self.cpu is not None:
            costs = self.cpu.costs
        charged = self.cpu is not None
        self.cost_ip_output_ns: int = costs.ip_output if charged else 0
        self.cost_socket_send_ns: int = costs.socket_send + costs.ip_output if charged else 0
        self.cost_ip_input_ns: int = costs.ip_input if charged else 0
        self.cost_system_call_ns: int = costs.socket_send if charged else 0
        self.cost_socket_receive_ns: int = costs.socket_receive if charged else 0
        self.cost_udp_input_ns: int = costs.ip_input + costs.socket_receive if charged else 0
        self.cost_wakeup_ns: int = costs.wakeup_latency if charged else 0

    # -- devices ------------------------------------------------------------------------------------------------------

    def set_up_loopback(self) -> NetDevice:
        """Make `lo` with 127.0.0.1/8 and bring it up."""
        device = LoopbackDevice(self.kernel)
        self.add_device(device)
        self.add_address(device, "127.0.0.1/8")
        device.set_up()
        return device

    def add_device(self, device: NetDevice, name: str | None = None) -> None:
        """Take a device into the namespace, under a new name if one is given.

        Raises Conflict when the name is taken here or the device belongs to another namespace.
        """
        name = name or device.name
        if name in self.devices:
            raise Conflict(f'a device named "{name}" exists in {self.name} already: file exists')
        if device.namespace_name:
            raise Conflict(f'device "{device.name}" belongs to {device.namespace_name}: remove it from there first')
        device.name = name
        device.namespace_name = self.name
        device.label = f"{self.name}:{name}"
        device.ifindex = self._next_ifindex
        self._next_ifindex += 1
        device.cpu = self.cpu
        interface = Interface(self, device)
        self.devices[name] = device
        self.interfaces[name] = interface
        if device.kind == "loopback":
            self.loopback = interface
        if device.master is None:
            device.upper = interface.receive
        if isinstance(device, Bridge):
            self._update_bridge_netfilter(device)
        elif isinstance(device, VxlanDevice):
            device.neighbour_lookup = interface.confirmed_mac
        self._known_states[name] = (False, False, device.mac, device.mtu)
        device.change_listeners.append(self._device_changed)
        self._device_changed(device)
        if self.on_device_added is not None:
            self.on_device_added(device)

    def remove_device(self, device: NetDevice) -> None:
        """Let a device go, with its addresses, routes and neighbours; raises NotFound when it is not here."""
        name = device.name
        interface = self.interface(device)
        for entry in list(interface.addresses):
            self._withdraw_address(interface, entry)
        self.routes.remove_device(device)
        interface.flush_neighbours()
        device.change_listeners.remove(self._device_changed)
        if device.master is None:
            device.upper = None
        if isinstance(device, Bridge):
            self._remove_bridge_netfilter(device)
        elif isinstance(device, VxlanDevice):
            device.neighbour_lookup = None
        if self.loopback is interface:
            self.loopback = None
        del self.devices[name], self.interfaces[name], self._known_states[name]
        device.namespace_name = ""
        self.flush_caches()

    def device(self, name: str) -> NetDevice:
        """Return the device of that name; raises NotFound that lists what there is."""
        device = self.devices.get(name)
        if device is None:
            known = ", ".join(self.devices) or "none"
            raise NotFound(f'{self.name} has no interface "{name}": it has {known}')
        return device

    def interface(self, device: NetDevice | str) -> Interface:
        """Return the IPv4 state of a device of this namespace; raises NotFound when it is not here."""
        name = device if isinstance(device, str) else device.name
        interface = self.interfaces.get(name)
        if interface is None or not (interface.device is device or isinstance(device, str)):
            known = ", ".join(self.devices) or "none"
            raise NotFound(f'{self.name} has no interface "{name}": it has {known}')
        return interface

    def _device_changed(self, device: NetDevice) -> None:
        """Draw the consequences of a device having changed its state, MAC or MTU."""
        interface = self.interfaces[device.name]
        was_up, had_carrier, mac, _ = self._known_states[device.name]
        self._known_states[device.name] = (device.is_up, device.carrier, device.mac, device.mtu)
        if device.master is None and device.upper is None:
            device.upper = interface.receive  # it has just left a bridge
        if device.mac != mac:
            interface.mac_changed()
            interface.flush_neighbours(permanent=False)
        if was_up and not device.is_up:
            self.routes.remove_device(device)
            interface.flush_neighbours()
        elif had_carrier and not device.carrier:
            interface.flush_neighbours(permanent=False)
        if device.is_up and not was_up:
            for entry in interface.addresses:
                self._add_connected_route(interface, entry)
        self.flush_caches()

    # -- addresses ----------------------------------------------------------------------------------------------------

    def add_address(self, device: NetDevice, address: str) -> None:
        """Give a device an address: "172.17.0.2/16", or without a prefix length for a /32.

        Raises InvalidValue for a bad address, Conflict when the device has it already.
        """
        interface = self.interface(device)
        value, prefix_length = parse_interface_address(address)
        if any(entry.address == value for entry in interface.addresses):
            raise Conflict(f"{device.label} has the address {ipv4_to_text(value)} already: file exists")
        entry = InterfaceAddress(value, prefix_length)
        interface.addresses.append(entry)
        self.local_addresses[value] = self.local_addresses.get(value, 0) + 1
        if entry.broadcast is not None:
            self._broadcasts.setdefault(entry.broadcast, []).append(interface)
        if device.is_up:
            self._add_connected_route(interface, entry)
        self.flush_caches()

    def remove_address(self, device: NetDevice, address: str) -> None:
        """Take an address away again; raises NotFound when the device does not have it."""
        interface = self.interface(device)
        value, _ = parse_interface_address(address)
        for entry in interface.addresses:
            if entry.address == value:
                self._withdraw_address(interface, entry)
                return
        raise NotFound(f"{device.label} does not have the address {ipv4_to_text(value)}")

    def addresses(self, device: NetDevice) -> list[str]:
        """Return the addresses of a device, "172.17.0.2/16", in the order in which they were added."""
        entries = self.interface(device).addresses
        return [f"{ipv4_to_text(entry.address)}/{entry.prefix_length}" for entry in entries]

    def _withdraw_address(self, interface: Interface, entry: InterfaceAddress) -> None:
        interface.addresses.remove(entry)
        self.local_addresses[entry.address] -= 1
        if not self.local_addresses[entry.address]:
            del self.local_addresses[entry.address]
        if entry.broadcast is not None:
            self._broadcasts[entry.broadcast].remove(interface)
            if not self._broadcasts[entry.broadcast]:
                del self._broadcasts[entry.broadcast]
        for route in self.routes.all():
            if route.device is interface.device and route.source == entry.address:
                self.routes.remove_route(route)
        if interface.device.is_up:
            for other in interface.addresses:
                self._add_connected_route(interface, other)
        self.flush_caches()

    def _add_connected_route(self, interface: Interface, entry: InterfaceAddress) -> None:
        if entry.prefix_length < 32 and not interface.is_loopback:
            self.routes.add_connected(interface.device, entry.network, entry.prefix_length, entry.address)

    def is_local_address(self, address: bytes) -> bool:
        """Return whether an address is one of this namespace's own, on whatever device (weak host model)."""
        return address in self.local_addresses or (address[0] == 127 and self.loopback is not None)

    def broadcast_interface(self, address: bytes) -> Interface | None:
        """Return the interface on whose network the address is the broadcast address, or None."""
        interfaces = self._broadcasts.get(address)
        return None if interfaces is None else interfaces[0]

    def announce(self, device: NetDevice, address: str, count: int = 3, interval_ns: int = NS_PER_S) -> None:
        """Send gratuitous ARP requests for an address of a device (see `arp.announce`)."""
        arp.announce(self, device, address, count, interval_ns)

    # -- sockets ------------------------------------------------------------------------------------------------------

    def udp_socket(self) -> UdpSocket:
        """Open a UDP socket."""
        return UdpSocket(self)

    def tcp_socket(self) -> TcpSocket:
        """Open a TCP socket."""
        return TcpSocket(self)

    def ping_socket(self, ident: int | None = None) -> PingSocket:
        """Open an ICMP echo socket; `ident` is the echo identifier, None draws one."""
        return PingSocket(self, ident)

    def packet_socket(self, device: NetDevice, wants: Wants, on_frame: OnFrame) -> PacketSocket:
        """Open a packet socket on a device: whole frames, with or without an address (see `PacketSocket`)."""
        return PacketSocket(self, device, wants, on_frame)

    def raw_socket(self, protocol: int) -> RawSocket:
        """Open a raw socket: IPv4 packets of one protocol with their headers (see `RawSocket`)."""
        return RawSocket(self, protocol)

    # -- output and wake-up -------------------------------------------------------------------------------------------

    def start_output(
        self, path: Path, packet: bytes, packet_id: int, cost_ns: int, altered: bool | Offload = False
    ) -> bool:
        """Send a packet that begins its life here, as a traversal of its own; False when it was refused at once.

        cost_ns: CPU time that the traversal starts with.
        """
        cpu = self.cpu
        if cpu is None:
            return self.output.send(path, packet, packet_id, altered)
        self._last_output_accepted = True
        if not cpu.start(self._output_charged, (path, packet, packet_id, cost_ns, altered)):
            path.interface.drop_packet(packet, packet_id, DropReason.CPU_BACKLOG_FULL)
            return False
        return self._last_output_accepted

    def _output_charged(self, job: tuple[Path, bytes, int, int, bool | Offload]) -> None:
        path, packet, packet_id, cost_ns, altered = job
        cpu = self.cpu
        assert cpu is not None, "only charged work comes here"
        cpu.busy_until_ns += cost_ns
        self._last_output_accepted = self.output.send(path, packet, packet_id, altered)

    def wake(self, fn: Callable[[Any], None], arg: Any) -> None:
        """Let a program see what arrived: at once, or when the CPU is done with it and the program was woken."""
        cpu = self.cpu
        if cpu is None:
            fn(arg)
        else:
            self.kernel.call_at(max(self.kernel.now, cpu.busy_until_ns + self.cost_wakeup_ns), fn, arg)

    # -- caches and settings ------------------------------------------------------------------------------------------

    @property
    def verify_checksums(self) -> bool:
        """Whether every checksum is verified on arrival, not only those of frames that a link corrupted."""
        return self._verify_checksums

    @verify_checksums.setter
    def verify_checksums(self, value: bool) -> None:
        self._verify_checksums = value
        self.flush_caches()

    def flush_caches(self) -> None:
        """Forget all that was derived from devices, addresses, routes, rules and settings."""
        self.generation += 1
        self.flush_receive_flows()

    def flush_receive_flows(self) -> None:
        """Forget which socket takes the datagrams of which flow."""
        self.receive_flows.clear()

    def learn_pmtu(self, destination: bytes, mtu: int) -> None:
        """Take note of an announced path MTU towards a destination."""
        route = self.routes.lookup(destination)
        if route is None or route.device is None:
            return
        if self.pmtu.learn(self.kernel.now, destination, mtu, route.device.mtu):
            self.generation += 1

    def _sysctl_changed(self, name: str) -> None:
        if not hasattr(self, "ipv4"):
            return  # still being made
        self._read_sysctls()
        if name == BRIDGE_NETFILTER_SYSCTL:
            for device in self.devices.values():
                if isinstance(device, Bridge):
                    self._update_bridge_netfilter(device)
        for interface in self.interfaces.values():
            interface.settings_changed()
        self.flush_caches()

    def _read_sysctls(self) -> None:
        sysctl = self.sysctl
        self.ip_forward = bool(sysctl["net.ipv4.ip_forward"])
        self.default_ttl = sysctl["net.ipv4.ip_default_ttl"]
        limiter = self.icmp.limiter
        limiter.ratelimit_ms = sysctl["net.ipv4.icmp_ratelimit"]
        limiter.ratemask = sysctl["net.ipv4.icmp_ratemask"]
        limiter.per_second = sysctl["net.ipv4.icmp_msgs_per_sec"]
        limiter.burst = sysctl["net.ipv4.icmp_msgs_burst"]
        reassembler = self.ipv4.reassembler
        reassembler.timeout_ns = sysctl["net.ipv4.ipfrag_time"] * NS_PER_S
        reassembler.high_threshold = sysctl["net.ipv4.ipfrag_high_thresh"]
        self.pmtu.expires_ns = sysctl["net.ipv4.route.mtu_expires"] * NS_PER_S
        self.pmtu.min_mtu = sysctl["net.ipv4.route.min_pmtu"]
        self.tcp.settings_changed()

    def _update_bridge_netfilter(self, bridge: Bridge) -> None:
        hooks = self._bridge_netfilters.get(bridge.name)
        if self.sysctl[BRIDGE_NETFILTER_SYSCTL]:
            if hooks is None:
                hooks = self._bridge_netfilters[bridge.name] = BridgeNetfilter(self, bridge)
                bridge.set_netfilter(hooks)
        elif hooks is not None:
            self._remove_bridge_netfilter(bridge)

    def _remove_bridge_netfilter(self, bridge: Bridge) -> None:
        hooks = self._bridge_netfilters.pop(bridge.name, None)
        if hooks is not None:
            hooks.stop()
            bridge.set_netfilter(None)

    def _rules_changed(self) -> None:
        for hooks in self._bridge_netfilters.values():
            hooks.rules_changed()
        self.flush_caches()

    # -- text ---------------------------------------------------------------------------------------------------------

    def show_addresses(self) -> str:
        """Return what `ip addr` would print."""
        return show.addresses(self)

    def show_link_statistics(self) -> str:
        """Return what `ip -s link` would print."""
        return show.link_statistics(self)

    def show_sockets(self) -> str:
        """Return what `ss -tan` would print."""
        return show_sockets.tcp_sockets(self)

    def __repr__(self) -> str:
        return f"<Namespace {self.name}: {', '.join(self.devices) or 'no devices'}>"


def parse_interface_address(text: str) -> tuple[bytes, int]:
    """Parse "172.17.0.2/16" into (address, prefix length); raises InvalidValue for anything else."""
    address, slash, length_text = text.partition("/")
    value = ipv4_to_bytes(address)
    if not slash:
        return value, 32
    if not length_text.isascii() or not length_text.isdigit() or int(length_text) > 32:
        raise InvalidValue(f'"{text}": expected a prefix length of 0 to 32 after the slash')
    if value[0] >= 224 or value == b"\0\0\0\0":
        raise InvalidValue(f'"{text}": a group address or 0.0.0.0 cannot be given to a device')
    return value, int(length_text)
