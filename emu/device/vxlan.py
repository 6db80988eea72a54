"""The VXLAN device of Linux: a bridge port or interface whose wire is UDP between hosts (RFC 7348).

It lives in one namespace (Docker's overlay sandbox, as a port of `br0`), while its UDP socket belongs to another one,
the underlay (the host's root namespace), which it reaches through `TunnelTransport`. What arrives on the UDP port goes
to the socket that all VXLAN devices of that port share, and there by the VXLAN header to the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emu.device import vxlan_send
from emu.device.fdb import DEFAULT_AGEING_NS
from emu.device.netdevice import ETHERNET_HEADER_BYTES, FRAME_EXTRA_BYTES, NetDevice
from emu.device.vxlan_fdb import VxlanFdb
from emu.device.vxlan_socket import VxlanSocket, join_socket
from emu.kernel.errors import InvalidValue
from emu.kernel.tap import DIRECTION_IN, DIRECTION_OUT
from emu.wire.address import is_valid_source_mac
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.offload import must_be_cut
from emu.wire.vxlan import HEADER_LENGTH, OVERHEAD, PORT, build_vxlan_header, check_vni, merge_ecn

if TYPE_CHECKING:
    from emu.device.upper import NeighbourLookup, TunnelTransport
    from emu.device.vxlan_send import SendFlow
    from emu.kernel import Kernel


class VxlanDevice(NetDevice):
    """One VXLAN device, as `ip link add NAME type vxlan id VNI dstport PORT …` makes it.

    mac: six bytes. vni: 0 to 16777215. transport: the namespace of the UDP socket (`namespace.tunnels`).
    mtu: of the inner packets, 68 to 65535 bytes; Docker's is the configured one - 50. port: UDP, 4789 by default.
    proxy: answer ARP from the neighbour entries of the device's own namespace, swallow every other ARP frame.
    l2miss, l3miss: count frames without an entry and ARP requests without one, in `l2_misses` and `l3_misses`
        (Linux sends a netlink message for each, to which nobody listens).
    learning: learn from received frames which VTEP a source address is behind; on, as in Docker.
    ageing_ns: of learned entries. udp_checksum: compute the outer UDP checksum (`udpcsum`, Linux's default).
    dont_fragment: set DF on the outer packet (`df set`); off, so that the underlay may fragment.
    ttl: of the outer packet, 1 to 255; None for the underlay's default, 64.

    fdb: the forwarding database. neighbour_lookup: set by the namespace that the device joins. header: the eight
        bytes of the device's VXLAN header. flows: what the sending path remembers (see `vxlan_send`).

    The device has its port while it is up. A device with the same VNI and port in the same underlay is refused:
    Conflict, "file exists".

    Sending (FACTS 60 to 62, 65 to 69): the outer source port comes from the inner flow's hash, DSCP is 0, ECN is
    copied. An IPv4 packet with DF that is longer than the underlay's MTU - 50 is answered with "fragmentation
    needed" on behalf of its destination; any other one is sent and fragmented by the underlay.
    Counters are Linux's: bytes without the Ethernet header.

    Limits: IPv4 underlay; no multicast group; no IPv6 neighbour discovery proxy (such frames are forwarded); no
    per-entry port or VNI; IPv6 "packet too big" is not synthesised.
    """

    __slots__ = (
        "_size_limit",
        "decapsulate_cost_ns",
        "dont_fragment",
        "encapsulate_cost_ns",
        "fdb",
        "flows",
        "frame_errors",
        "header",
        "l2_misses",
        "l2miss",
        "l3_misses",
        "l3miss",
        "learning",
        "neighbour_lookup",
        "port",
        "proxy",
        "socket",
        "transport",
        "ttl",
        "udp_checksum",
        "vni",
    )

    kind = "vxlan"
    can_be_port = True

    def __init__(
        self,
        kernel: Kernel,
        name: str,
        mac: bytes,
        vni: int,
        transport: TunnelTransport,
        *,
        mtu: int = 1500 - OVERHEAD,
        port: int = PORT,
        proxy: bool = False,
        l2miss: bool = False,
        l3miss: bool = False,
        learning: bool = True,
        ageing_ns: int = DEFAULT_AGEING_NS,
        udp_checksum: bool = True,
        dont_fragment: bool = False,
        ttl: int | None = None,
    ) -> None:
        super().__init__(kernel, name, mac, mtu)
        if type(port) is not int or not 1 <= port <= 65535:
            raise InvalidValue(f"invalid data path port {port!r} for {name}: expected 1 to 65535")
        if ttl is not None and (type(ttl) is not int or not 1 <= ttl <= 255):
            raise InvalidValue(f"invalid TTL {ttl!r} for {name}: expected 1 to 255, or None for the default")
        self.vni = check_vni(vni)
        self.transport = transport
        self.port = port
        self.proxy = proxy
        self.l2miss = l2miss
        self.l3miss = l3miss
        self.learning = learning
        self.udp_checksum = udp_checksum
        self.dont_fragment = dont_fragment
        self.ttl = ttl
        self.fdb = VxlanFdb(self, ageing_ns)
        self.neighbour_lookup: NeighbourLookup | None = None
        self.l2_misses = self.l3_misses = self.frame_errors = 0
        self.encapsulate_cost_ns = self.decapsulate_cost_ns = 0
        self.header = build_vxlan_header(vni)
        self.flows: dict[bytes, SendFlow] = {}
        self._size_limit = -1
        self.socket: VxlanSocket = join_socket(transport, port, self.header, self)

    # -- sending ------------------------------------------------------------------------------------------------------

    def transmit(self, frame: Frame, /) -> bool:
        """Encapsulate a frame and send it to where its destination is (see `NetDevice.transmit`); always True."""
        data = frame.data
        size = len(data)
        if size > self._size_limit and not (self.is_up and must_be_cut(frame.altered)):
            self._refuse(frame, size)
            return True
        now = self.kernel.now
        tap = self.tap
        if tap is not None:
            tap(now, frame, DIRECTION_OUT)
        flow = self.flows.get(data[26:38])
        if flow is not None and data[:16] == flow.head and data[20:24] == flow.fixed and size <= flow.size_max:
            entry = flow.entry
            if now - entry.expires_from_ns < self.fdb.ageing_ns:
                cpu = self._cpu
                if cpu is not None:
                    cpu.busy_until_ns += self.encapsulate_cost_ns
                if flow.send(frame):
                    entry.used_ns = now
                    self.tx_packets += 1
                    self.tx_bytes += size - ETHERNET_HEADER_BYTES
                    return True
                if cpu is not None:
                    cpu.busy_until_ns -= self.encapsulate_cost_ns
        vxlan_send.send(self, frame)
        return True

    def _refuse(self, frame: Frame, size: int) -> None:
        if not self.is_up:
            self.drop_sent(frame, DropReason.DEVICE_DOWN)
        else:
            self.drop(frame, DropReason.BRIDGE_PORT_MTU)

    def count_sent(self, data: bytes) -> None:
        """Count a frame that was sent, in whatever way."""
        self.tx_packets += 1
        self.tx_bytes += len(data) - ETHERNET_HEADER_BYTES

    def answer(self, data: bytes, cause: int, is_counted: bool = True) -> None:
        """Receive a frame that was made here, as a traversal of its own."""
        kernel = self.kernel
        frame = Frame(data, kernel.next_packet_id())
        kernel.journal.caused(frame.packet_id, cause)
        receive = self.receive if is_counted else self._receive_uncounted
        cpu = self._cpu
        if cpu is None:
            kernel.soon(receive, frame)
        elif not cpu.start(receive, frame):
            self.drop_received(frame, DropReason.CPU_BACKLOG_FULL)

    # -- receiving ----------------------------------------------------------------------------------------------------

    def decapsulate(self, frame: Frame, payload: bytes, source: bytes, tos: int) -> None:
        """Take a frame out of a VXLAN packet that is for this device; see `TunnelReceiver.receive_encapsulated`."""
        cpu = self._cpu
        if cpu is not None:
            cpu.busy_until_ns += self.decapsulate_cost_ns
        data = payload[HEADER_LENGTH:]
        source_mac = data[6:12]
        if source_mac == self.mac or len(data) < ETHERNET_HEADER_BYTES:
            is_own = source_mac == self.mac
            self._refuse_received(frame, data, DropReason.VXLAN_OWN_SOURCE if is_own else DropReason.MALFORMED)
            return
        if self.learning:
            fdb, now = self.fdb, self.kernel.now
            entry = fdb.known(source_mac)
            if (
                entry is not None
                and entry.remotes[0] == source
                and entry.is_station
                and now - entry.expires_from_ns < fdb.ageing_ns
            ):
                entry.used_ns = entry.updated_ns = now
                if not entry.is_permanent:
                    entry.expires_from_ns = now
            elif not self._learn(frame, data, source):
                return
        if tos & 3:
            merged = merge_ecn(data, tos)
            if merged is None:
                self.frame_errors += 1
                self._refuse_received(frame, data, DropReason.VXLAN_ECN)
                return
            data = merged
        # The frame goes on in another namespace: after what waits for this instant already (Linux: gro_cells).
        self.kernel.soon(self.receive, Frame(data, frame.packet_id, frame.altered))

    def _learn(self, frame: Frame, data: bytes, source: bytes) -> bool:
        """Learn where a frame's source is, or drop the frame; return whether it goes on."""
        if not is_valid_source_mac(data[6:12]):
            self._refuse_received(frame, data, DropReason.VXLAN_INVALID_SOURCE)
            return False
        if not self.fdb.snoop(data[6:12], source):
            self._refuse_received(frame, data, DropReason.VXLAN_ENTRY_ELSEWHERE)
            return False
        return True

    def _refuse_received(self, frame: Frame, data: bytes, reason: DropReason) -> None:
        self.drop_received(Frame(data, frame.packet_id, frame.altered), reason)

    def receive(self, frame: Frame) -> None:
        """Take a frame that came out of the tunnel (see `NetDevice.receive`)."""
        if not self.is_up:
            self.drop_received(frame, DropReason.DEVICE_DOWN)
            return
        self.rx_packets += 1
        self.rx_bytes += len(frame.data) - ETHERNET_HEADER_BYTES
        tap = self.tap
        if tap is not None:
            tap(self.kernel.now, frame, DIRECTION_IN)
        upper = self.upper
        if upper is not None:
            upper(frame)

    def _receive_uncounted(self, frame: Frame) -> None:
        """Take in an ARP answer made here, which Linux does not count."""
        self.receive(frame)
        if self.is_up:
            self.rx_packets -= 1
            self.rx_bytes -= len(frame.data) - ETHERNET_HEADER_BYTES

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def is_across_namespaces(self) -> bool:
        """Whether the socket is in another namespace than the device, which `bridge fdb` shows."""
        return self.namespace_name != self.transport.name

    def flush_flows(self) -> None:
        """Forget remembered flows: something they depended on has changed."""
        self.flows.clear()

    def _changed(self) -> None:
        self.running = self.is_up and self.carrier
        if not self.is_up:
            self._size_limit = -1
        else:  # a bridge forwards to a port only what fits its MTU and a VLAN tag (FACT 29)
            self._size_limit = self.mtu + FRAME_EXTRA_BYTES if self.master is not None else 1 << 30
        super()._changed()

    def set_up(self) -> None:
        """Set the device up; raises `Conflict` when somebody else has its UDP port."""
        if not self.is_up and not self.is_deleted:
            self.socket.open(self.header, self)
        super().set_up()

    def set_down(self) -> None:
        """Set the device down: the last one of a port closes it, and what was learned is forgotten."""
        if self.is_up:
            self.socket.close(self.header)
            self.fdb.flush()
        super().set_down()

    def delete(self) -> None:
        """Delete the device; its VNI is free again."""
        if self.is_deleted:
            return
        super().delete()
        self.socket.leave(self.header)
        self.fdb.flush(permanent=True)

    def _cpu_changed(self) -> None:
        costs = None if self.cpu is None else self.cpu.costs
        self.encapsulate_cost_ns = 0 if costs is None else costs.vxlan_encapsulate
        self.decapsulate_cost_ns = 0 if costs is None else costs.vxlan_decapsulate

    # -- showing ------------------------------------------------------------------------------------------------------

    def fdb_text(self) -> str:
        """Return what `bridge fdb show dev NAME` prints: the bridge's entries for this port, then the device's own.

        Newest first, as in Linux; without the multicast addresses that every interface has.
        """
        lines = self.fdb.text()
        if self.master is None:
            return lines
        return "".join(self.master.fdb.port_lines(self)) + lines

    def link_text(self) -> str:
        """Return the line about VXLAN that `ip -d link` prints."""
        words = [f"vxlan id {self.vni} srcport 0 0 dstport {self.port}"]
        words += ["" if self.learning else "nolearning", "proxy" if self.proxy else ""]
        words += ["l2miss" if self.l2miss else "", "l3miss" if self.l3miss else ""]
        words += [f"ttl {self.ttl or 'auto'}", "df set" if self.dont_fragment else ""]
        words += [f"ageing {self.fdb.ageing_ns // 10**9}", "udpcsum" if self.udp_checksum else "noudpcsum"]
        return " ".join(word for word in words if word) + " noudp6zerocsumtx noudp6zerocsumrx "

    def describe(self) -> dict[str, Any]:
        """Return what a capture writes about the interface, with the VNI."""
        description = super().describe()
        description["description"] += f", VNI {self.vni} on UDP port {self.port}"
        return description
