"""Small worlds for the stack's tests: namespaces joined by veth pairs or a bridge, and a record of every frame."""

from __future__ import annotations

from collections.abc import Callable

from emu.device.bridge import Bridge
from emu.device.netdevice import NetDevice
from emu.device.veth import create_veth
from emu.kernel import DIRECTION_IN, Kernel
from emu.stack.namespace import Namespace
from emu.wire.frame import Frame

SECOND = 1_000_000_000
MS = 1_000_000


class World:
    """A kernel and what is built on it. `seen[label]` lists (time, direction, frame) of a tapped device."""

    def __init__(self, seed: int = 1) -> None:
        self.kernel = Kernel(seed)
        self.seen: dict[str, list[tuple[int, int, Frame]]] = {}
        self.drops: list[tuple[int, str, str]] = []
        self.kernel.journal.keep_annotations = True
        self.kernel.journal.drop_listeners.append(self._dropped)
        self._next_mac = 0

    def _dropped(self, now_ns: int, frame: object, reason: object, where: str) -> None:
        self.drops.append((now_ns, reason.name, where))  # type: ignore[attr-defined]

    def mac(self) -> bytes:
        self._next_mac += 1
        return b"\x02\x00\x00\x00" + self._next_mac.to_bytes(2, "big")

    def namespace(self, name: str, **options: object) -> Namespace:
        namespace = Namespace(self.kernel, name, **options)  # type: ignore[arg-type]
        namespace.set_up_loopback()
        self.tap(namespace.device("lo"))
        return namespace

    def tap(self, device: NetDevice) -> None:
        record = self.seen.setdefault(device.label, [])
        device.add_tap(lambda now_ns, frame, direction: record.append((now_ns, direction, frame)))

    def join(
        self, a: Namespace, b: Namespace, address_a: str, address_b: str, name: str = "eth0", mtu: int = 1500
    ) -> tuple[NetDevice, NetDevice]:
        """Join two namespaces by a veth pair with one address each."""
        one, two = create_veth(self.kernel, name, self.mac(), name, self.mac(), mtu)
        a.add_device(one, None if name not in a.devices else f"eth{len(a.devices) - 1}")
        b.add_device(two, None if name not in b.devices else f"eth{len(b.devices) - 1}")
        for namespace, device, address in ((a, one, address_a), (b, two, address_b)):
            device.set_up()
            namespace.add_address(device, address)
            self.tap(device)
        return one, two

    def bridge(self, host: Namespace, name: str, address: str | None = None) -> Bridge:
        bridge = Bridge(self.kernel, name, self.mac())
        host.add_device(bridge)
        bridge.set_up()
        if address is not None:
            host.add_address(bridge, address)
        self.tap(bridge)
        return bridge

    def plug(self, host: Namespace, bridge: Bridge, container: Namespace, address: str, mtu: int = 1500) -> NetDevice:
        """Give a container an eth0 on a bridge; returns it. The host's end is called veth-<container>."""
        outer, inner = create_veth(self.kernel, f"veth-{container.name}", self.mac(), "eth0", self.mac(), mtu)
        host.add_device(outer)
        container.add_device(inner)
        bridge.add_port(outer)
        outer.set_up()
        inner.set_up()
        container.add_address(inner, address)
        self.tap(outer)
        self.tap(inner)
        return inner

    def at(self, time_ns: int, fn: Callable[[], object]) -> None:
        self.kernel.call_at(time_ns, lambda _: fn())

    def run(self, until: int | None = None) -> None:
        self.kernel.run(until)

    def arrived(self, label: str) -> list[bytes]:
        return [frame.data for _, direction, frame in self.seen[label] if direction == DIRECTION_IN]

    def sent(self, label: str) -> list[bytes]:
        return [frame.data for _, direction, frame in self.seen[label] if direction != DIRECTION_IN]

    def arp_requests(self, label: str) -> list[tuple[int, bytes]]:
        """(time, destination MAC) of every ARP request that left a device."""
        return [
            (now_ns, frame.data[:6])
            for now_ns, direction, frame in self.seen[label]
            if direction != DIRECTION_IN and frame.data[12:14] == b"\x08\x06" and frame.data[20:22] == b"\x00\x01"
        ]

    def icmp(self, label: str, direction: int | None = None) -> list[tuple[int, int, int, bytes]]:
        """(time, type, code, frame) of every ICMP packet seen at a device; of a tiny later fragment -1, -1."""
        return [
            (now_ns, *(frame.data[34:36] if len(frame.data) > 35 else (-1, -1)), frame.data)
            for now_ns, way, frame in self.seen[label]
            if frame.data[12:14] == b"\x08\x00" and frame.data[23] == 1 and direction in (None, way)
        ]


class Pinger:
    """A ping socket that records replies (time, source, sequence, TTL), errors (time, reporter, type, code, info)."""

    def __init__(self, world: World, namespace: Namespace) -> None:
        self.world = world
        self.socket = namespace.ping_socket()
        self.replies: list[tuple[int, bytes, int, int]] = []
        self.errors: list[tuple[int, bytes, int, int, int]] = []
        self.socket.on_reply = lambda source, sequence, payload, ttl: self.replies.append(
            (world.kernel.now, source, sequence, ttl)
        )
        self.socket.on_error = lambda reporter, sequence, kind, code, info: self.errors.append(
            (world.kernel.now, reporter, kind, code, info)
        )
        self._sequence = 0

    def ping(self, destination: str, size: int = 56, **options: object) -> None:
        self._sequence += 1
        self.socket.send_echo(destination, self._sequence, bytes(size), **options)  # type: ignore[arg-type]

    def ping_at(self, time_ns: int, destination: str, size: int = 56, **options: object) -> None:
        self.world.at(time_ns, lambda: self.ping(destination, size, **options))


def two_hosts(seed: int = 1, mtu: int = 1500) -> tuple[World, Namespace, Namespace]:
    """Two namespaces on one veth pair: h1 10.9.0.1/24, h2 10.9.0.2/24."""
    world = World(seed)
    h1, h2 = world.namespace("h1"), world.namespace("h2")
    world.join(h1, h2, "10.9.0.1/24", "10.9.0.2/24", mtu=mtu)
    return world, h1, h2
