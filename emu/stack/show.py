"""Text dumps of a namespace in the form of iproute2: `ip addr`, `ip -s link`, `ip -s neigh`, `ip route`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.device.veth import VethDevice
from emu.stack.neighbour import DELAY, INCOMPLETE, PROBE, REACHABLE
from emu.wire.address import ipv4_to_text, mac_to_text

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.interface import Interface, InterfaceAddress
    from emu.stack.namespace import Namespace

NS_PER_S = 1_000_000_000
TIMED_STATES = (INCOMPLETE, REACHABLE, DELAY, PROBE)


def addresses(namespace: Namespace) -> str:
    """Return `ip addr`.

    Limits: no namespace of the peer ("link-netnsid 0"), no other group than the default; queue lengths are those of
    Docker's devices (veth and bridge devices made by hand have "qlen 1000").
    """
    return "".join(
        _link_lines(interface.device) + "".join(_address_lines(interface, entry) for entry in interface.addresses)
        for interface in namespace.interfaces.values()
    )


def link_statistics(namespace: Namespace) -> str:
    """Return `ip -s link`; errors, missed, carrier and collision counts are always 0."""
    return "".join(_link_lines(device) + _statistics_lines(device) for device in namespace.devices.values())


def neighbour_statistics(namespace: Namespace) -> str:
    """Return `ip -s neigh`: used/confirmed/updated in whole seconds ago, and the requests sent.

    Limits: "ref 1" stands for a running timer; other users of an entry are not counted.
    """
    now_ns = namespace.kernel.now
    lines = []
    for name, entry in namespace.neighbours.entries():
        head, _, state = entry.text(name).rstrip().rpartition(" ")
        times_ns = (entry.used_ns, entry.confirmed_ns, entry.updated_ns)
        ages = "/".join(str(max(0, now_ns - time_ns) // NS_PER_S) for time_ns in times_ns)
        reference = "ref 1 " if state in TIMED_STATES else ""
        lines.append(f"{head}  {reference}used {ages}probes {entry.probes} {state} \n")
    return "".join(lines)


def all_routes(namespace: Namespace) -> str:
    """Return `ip route show table all`: the main table, then the local one."""
    lines = [namespace.routes.text()]
    for interface in namespace.interfaces.values():
        name = interface.device.name
        for entry in interface.addresses:
            own = ipv4_to_text(entry.address)
            tail = f"dev {name} table local proto kernel scope"
            if interface.is_loopback:
                lines.append(f"local {ipv4_to_text(entry.network)}/{entry.prefix_length} {tail} host src {own} \n")
            lines.append(f"local {own} {tail} host src {own} \n")
            if entry.broadcast is not None:
                linkdown = "" if interface.device.carrier else "linkdown "
                lines.append(f"broadcast {ipv4_to_text(entry.broadcast)} {tail} link src {own} {linkdown}\n")
    return "".join(lines)


def _link_lines(device: NetDevice) -> str:
    loopback = device.kind == "loopback"
    flags = ["LOOPBACK"] if loopback else ["BROADCAST", "MULTICAST"]
    if device.is_up and not device.carrier:
        flags.insert(0, "NO-CARRIER")
    if device.is_up:
        flags.append("UP")
        if device.carrier:
            flags.append("LOWER_UP")
    unknown = device.kind in ("loopback", "vxlan")  # these never report their state
    state = "UNKNOWN" if unknown and device.is_up else "UP" if device.is_up and device.carrier else "DOWN"
    master = "" if device.master is None else f" master {device.master.name}"
    queue = "qlen 1000" if device.kind in ("loopback", "ethernet") else ""
    kind, broadcast = ("loopback", "00:00:00:00:00:00") if loopback else ("ether", "ff:ff:ff:ff:ff:ff")
    return (
        f"{device.ifindex}: {_name(device)}: <{','.join(flags)}> mtu {device.mtu} qdisc noqueue{master} state {state} "
        f"group default {queue}\n"
        f"    link/{kind} {mac_to_text(device.mac)} brd {broadcast}\n"
    )


def _name(device: NetDevice) -> str:
    """Return the name with the other end of a veth pair: `eth0@if6` in another namespace, `a@b` in the same one."""
    peer = device.peer if isinstance(device, VethDevice) else None
    if peer is None or not peer.namespace_name:
        return device.name
    same = peer.namespace_name == device.namespace_name
    return f"{device.name}@{peer.name if same else f'if{peer.ifindex}'}"


def _address_lines(interface: Interface, entry: InterfaceAddress) -> str:
    broadcast = ""
    if entry.broadcast is not None and not interface.is_loopback:
        broadcast = f" brd {ipv4_to_text(entry.broadcast)}"
    scope = "host" if interface.is_loopback else "global"
    return (
        f"    inet {ipv4_to_text(entry.address)}/{entry.prefix_length}{broadcast} scope {scope} "
        f"{interface.device.name}\n       valid_lft forever preferred_lft forever\n"
    )


def _statistics_lines(device: NetDevice) -> str:
    return (
        "    RX:  bytes packets errors dropped  missed   mcast\n"
        f"    {device.rx_bytes:>10} {device.rx_packets:>7}      0 {device.rx_dropped:>7}       0       0\n"
        "    TX:  bytes packets errors dropped carrier collsns\n"
        f"    {device.tx_bytes:>10} {device.tx_packets:>7}      0 {device.tx_dropped:>7}       0       0\n"
    )
