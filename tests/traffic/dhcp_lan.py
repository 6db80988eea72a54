"""A segment with a DHCP server on a bridge and clients behind veth pairs, and every DHCP and ARP frame on it."""

from __future__ import annotations

from typing import NamedTuple

from emu.device.netdevice import NetDevice
from emu.device.veth import create_veth
from emu.stack.namespace import Namespace
from emu.traffic.dhcp_client_lease import ClientLease
from emu.traffic.dhcp_daemon import DhcpDaemon
from emu.traffic.dhcp_frames import is_udp_to, read_frame
from emu.traffic.dhcp_leases import LeaseTable
from emu.traffic.dhcp_profile import profile_named
from emu.traffic.dhcp_program import DhcpProgram, LeaseInstaller
from emu.traffic.dhcp_server_settings import DhcpServerSettings
from emu.wire.address import ipv4_to_bytes, ipv4_to_text
from emu.wire.dhcp import TYPE_NAMES
from tests.stack.world import SECOND, World

GATEWAY = "10.0.0.1"


class Seen(NamedTuple):
    """One DHCP message at the bridge: when, what, addresses on the IP level, and the frame."""

    now_ns: int
    kind: str
    source: str
    destination: str
    data: bytes


class Client:
    """A namespace with eth0 on the bridge and a DHCP client; `events` lists what became of its leases."""

    def __init__(self, lan: DhcpLan, name: str, profile: str = "udhcpc", **options: object) -> None:
        self.lan = lan
        self.namespace: Namespace = lan.world.namespace(name)
        self.device = lan.plug(self.namespace)
        self.events: list[tuple[int, str]] = []
        self.installer = LeaseInstaller(self.namespace, self.device)
        self._options = options
        self._profile = profile
        self.start(**options)

    def start(self, **options: object) -> None:
        self.program = DhcpProgram(
            self.namespace,
            self.device,
            profile_named(self._profile),
            self._bound,
            self._unbound,
            lambda state: self._note(f"failed in {state}"),
            **options,  # type: ignore[arg-type]
        )

    def _note(self, text: str) -> None:
        self.events.append((self.lan.world.kernel.now, text))

    def _bound(self, lease: ClientLease) -> None:
        self.installer.install(lease)
        self._note(f"bound to {ipv4_to_text(lease.address)}")

    def _unbound(self, lease: ClientLease) -> None:
        self.installer.remove(lease)
        self._note(f"lost {ipv4_to_text(lease.address)}")

    @property
    def addresses(self) -> list[str]:
        return self.namespace.addresses(self.device)

    @property
    def state(self) -> str:
        return self.program.client.state


class DhcpLan:
    """Bridge br0 of a host with 10.0.0.1/24 and a server for 10.0.0.10 to 10.0.0.19 that probes nothing."""

    def __init__(self, *, serves: bool = True, seed: int = 1, **settings: object) -> None:
        self.world = World(seed)
        self.host = self.world.namespace("host")
        self.bridge = self.world.bridge(self.host, "br0", f"{GATEWAY}/24")
        self.daemon: DhcpDaemon | None = self.serve(**settings) if serves else None

    def settings(self, **changes: object) -> DhcpServerSettings:
        values = {
            "server_address": ipv4_to_bytes(GATEWAY),
            "prefix_length": 24,
            "first": ipv4_to_bytes("10.0.0.10"),
            "last": ipv4_to_bytes("10.0.0.19"),
            "router": ipv4_to_bytes(GATEWAY),
            "lease_s": 600,
            "probe_wait_ns": 0,
        }
        return DhcpServerSettings(**(values | changes))  # type: ignore[arg-type]

    def serve(self, leases: LeaseTable | None = None, **settings: object) -> DhcpDaemon:
        self.daemon = DhcpDaemon(self.host, self.bridge, self.settings(**settings), leases)
        return self.daemon

    def plug(self, namespace: Namespace) -> NetDevice:
        world = self.world
        outer, inner = create_veth(world.kernel, f"veth-{namespace.name}", world.mac(), "eth0", world.mac(), 1500)
        self.host.add_device(outer)
        namespace.add_device(inner)
        self.bridge.add_port(outer)
        outer.set_up()
        inner.set_up()
        world.tap(inner)
        return inner

    def squat(self, address: str) -> Namespace:
        """Add a namespace that just uses an address."""
        squatter = self.world.namespace("squatter")
        self.world.plug(self.host, self.bridge, squatter, f"{address}/24")
        return squatter

    def run(self, seconds: float) -> None:
        self.world.run(round(seconds * SECOND))

    def dhcp(self, client: Client) -> list[Seen]:
        """Every DHCP message at the client's interface."""
        found = []
        for now_ns, _, frame in self.world.seen[client.device.label]:
            if is_udp_to(frame.data, 67) or is_udp_to(frame.data, 68):
                received = read_frame(frame.data)
                assert not hasattr(received, "name"), received
                kind = TYPE_NAMES[received.message.message_type]
                found.append(Seen(now_ns, kind, ipv4_to_text(received.address), dst(frame.data), frame.data))
        return found

    def story(self, client: Client) -> list[tuple[float, str, str, str]]:
        return [(seen.now_ns / SECOND, seen.kind, seen.source, seen.destination) for seen in self.dhcp(client)]


def dst(data: bytes) -> str:
    return ipv4_to_text(data[30:34])
