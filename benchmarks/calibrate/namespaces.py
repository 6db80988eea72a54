"""Throw-away network namespaces with the devices of a bridge and of an overlay network, as Docker makes them.

Everything happens inside namespaces that this module made; leaving the context removes them, and with them all that
is in them. Their names begin with `emucal` and the process id.
"""

from __future__ import annotations

import os
import subprocess
from types import TracebackType

COMMAND_LIMIT_S = 10
VNI = 4097
WRONG_MAC = "02:00:00:00:00:99"
"""Nobody's: a frame sent there is dropped by the stack that gets it, at the first look."""


class CalibrationError(Exception):
    """The measurement cannot be made here; the text says why."""


class Namespaces:
    """Makes namespaces and runs `ip` and `bridge` in them."""

    def __init__(self) -> None:
        self._prefix = f"emucal{os.getpid()}-"
        self._made: list[str] = []

    def __enter__(self) -> Namespaces:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        while self._made:
            subprocess.run(["ip", "netns", "del", self._made.pop()], check=False, timeout=COMMAND_LIMIT_S)

    def add(self, *names: str) -> None:
        """Make namespaces with a loopback interface that is up and without IPv6, whose own packets would disturb."""
        for name in names:
            run("ip", "netns", "add", self.name(name))
            self._made.append(self.name(name))
            self.ip(name, "link set lo up")
            self.shell(name, "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")

    def remove_all(self) -> None:
        """Remove what was made so far, for the next arrangement."""
        self.__exit__(None, None, None)

    def name(self, name: str) -> str:
        """The name by which `ip netns` knows a namespace."""
        return self._prefix + name

    def ip(self, name: str, arguments: str) -> None:
        """Run `ip` in a namespace; words in braces, `{x}`, are names of namespaces."""
        words = [self.name(word[1:-1]) if word.startswith("{") else word for word in arguments.split()]
        run("ip", "-n", self.name(name), *words)

    def bridge(self, name: str, arguments: str) -> None:
        """Run `bridge` in a namespace."""
        run("bridge", "-n", self.name(name), *arguments.split())

    def shell(self, name: str, command: str) -> str:
        """Run a shell command in a namespace and return what it prints."""
        return run("ip", "netns", "exec", self.name(name), "sh", "-c", command)

    def veth(self, a: str, device_a: str, b: str, device_b: str, mtu: int = 1500) -> None:
        """Join two namespaces by a veth pair that is up."""
        self.ip(a, f"link add {device_a} mtu {mtu} type veth peer name {device_b} mtu {mtu} netns {{{b}}}")
        self.ip(a, f"link set {device_a} up")
        self.ip(b, f"link set {device_b} up")

    def interface(self, name: str, device: str, address: str, mac: str) -> None:
        """Give a container's interface its MAC and address."""
        self.ip(name, f"link set {device} address {mac}")
        self.ip(name, f"address add {address} dev {device}")

    def bridge_device(self, name: str, *ports: str) -> None:
        """Make br0 with ports."""
        self.ip(name, "link add br0 type bridge")
        for port in ports:
            self.ip(name, f"link set {port} master br0")
        self.ip(name, "link set br0 up")


def run(*words: str, limit_s: float = COMMAND_LIMIT_S) -> str:
    """Run a command within a time limit; raises CalibrationError with what it said."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit_s, check=False)
    except FileNotFoundError:
        raise CalibrationError(f"{words[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise CalibrationError(f"{' '.join(words)}: not finished after {limit_s:g} s") from None
    if done.returncode:
        raise CalibrationError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


MAC_A, MAC_B = "02:42:0a:00:09:02", "02:42:0a:00:09:03"
ADDRESS_A, ADDRESS_B = "10.0.9.2", "10.0.9.3"


def arrange_nowhere(net: Namespaces) -> None:
    """Namespace a sends into a VXLAN device that knows no remote: everything up to the device, and a drop."""
    net.add("a")
    net.ip("a", "link add e0 type vxlan id 5 dstport 4789 nolearning")
    net.ip("a", "link set e0 up")
    net.interface("a", "e0", f"{ADDRESS_A}/24", MAC_A)
    net.ip("a", f"neighbour replace {ADDRESS_B} lladdr {WRONG_MAC} dev e0 nud permanent")


def arrange_veth(net: Namespaces) -> None:
    """Namespaces a and b joined by a veth pair: also what the underlay of two hosts looks like here."""
    net.add("a", "b")
    net.veth("a", "e0", "b", "e0")
    _containers(net)


def arrange_bridge(net: Namespaces) -> None:
    """Namespaces a and b on a bridge in a third namespace, as on docker0."""
    net.add("a", "b", "host")
    net.veth("a", "e0", "host", "va")
    net.veth("b", "e0", "host", "vb")
    net.bridge_device("host", "va", "vb")
    net.ip("host", "address add 10.0.9.1/24 dev br0")
    _containers(net)
    net.bridge("host", f"fdb add {WRONG_MAC} dev vb master static")


def arrange_overlay(net: Namespaces) -> None:
    """Namespaces a and b on an overlay of host1 and host2, whose underlay is a veth pair, as Docker configures it."""
    net.add("a", "b", "host1", "host2", "overlay1", "overlay2")
    net.veth("host1", "eth0", "host2", "eth0")
    net.ip("host1", "address add 198.18.0.1/24 dev eth0")
    net.ip("host2", "address add 198.18.0.2/24 dev eth0")
    remote = {"1": (MAC_B, ADDRESS_B, "198.18.0.2", "a"), "2": (MAC_A, ADDRESS_A, "198.18.0.1", "b")}
    for number, (mac, address, host, container) in remote.items():
        overlay = f"overlay{number}"
        net.ip(f"host{number}", f"link add vxlan0 type vxlan id {VNI} dstport 4789 proxy l2miss l3miss learning")
        net.ip(f"host{number}", f"link set vxlan0 netns {{{overlay}}}")
        net.ip(overlay, "link set vxlan0 mtu 1450 up")
        net.veth(container, "e0", overlay, "veth0", mtu=1450)
        net.bridge_device(overlay, "vxlan0", "veth0")
        net.ip(overlay, "address add 10.0.9.1/24 dev br0")
        net.ip(overlay, f"neighbour add {address} lladdr {mac} dev vxlan0 nud permanent")
        net.bridge(overlay, f"fdb add {mac} dev vxlan0 dst {host} self permanent")
    _containers(net)


def divert(net: Namespaces, name: str, device: str, address: str) -> None:
    """Let a namespace send to an address by the wrong MAC, so that its packets are dropped at the next stack."""
    net.ip(name, f"neighbour replace {address} lladdr {WRONG_MAC} dev {device} nud permanent")


def _containers(net: Namespaces) -> None:
    net.interface("a", "e0", f"{ADDRESS_A}/24", MAC_A)
    net.interface("b", "e0", f"{ADDRESS_B}/24", MAC_B)
    net.ip("a", f"neighbour replace {ADDRESS_B} lladdr {MAC_B} dev e0 nud permanent")
    net.ip("b", f"neighbour replace {ADDRESS_A} lladdr {MAC_A} dev e0 nud permanent")
