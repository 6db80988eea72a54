"""A topology as a tree on the terminal: hosts, their networks and containers, the cables between them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from emu.description import (
    ContainerDescription,
    EmulationDescription,
    HostDescription,
    LinkDescription,
    NetworkDescription,
)


def print_description(description: EmulationDescription, parameters: Iterable[str], console: Console) -> None:
    """Print the tree of a topology, and the parameters its script takes."""
    console.print(topology_tree(description), soft_wrap=True)
    lines = list(parameters)
    if lines:
        console.print("parameters (--set name=value)")
        for line in lines:
            console.print(f"  {line}", markup=False, soft_wrap=True)


def topology_tree(description: EmulationDescription) -> Tree:
    """The tree of a topology."""
    title = f"[bold]{escape(description.name)}[/bold]  engine {description.engine}, seed {description.seed}"
    if description.cost != "linux":
        title += f", cost {description.cost}"
    tree = Tree(title, guide_style="dim")
    for host in description.hosts:
        _add_host(tree, host)
    for switch in description.switches:
        tree.add(f"switch [bold]{escape(switch)}[/bold]")
    if description.links:
        branch = tree.add("links")
        for link in description.links:
            branch.add(_link_line(link))
    if description.tasks:
        branch = tree.add("tasks")
        for task in description.tasks:
            branch.add(escape(task))
    return tree


def _add_host(tree: Tree, host: HostDescription) -> None:
    addresses = f"  {', '.join(host.addresses)}" if host.addresses else ""
    branch = tree.add(f"host [bold]{escape(host.name)}[/bold]{addresses}")
    for network in host.networks:
        network_branch = branch.add(_network_line(network))
        for container in host.containers:
            for line in _member_lines(container, network.name):
                network_branch.add(line)
    for container in host.containers:
        if not container.interfaces:
            branch.add(f"container [bold]{escape(container.name)}[/bold]  {container.mode or container.state}")


def _network_line(network: NetworkDescription) -> str:
    facts = [network.driver, *network.subnets]
    facts += [f"gateway {gateway}" for gateway in network.gateways]
    facts += [f"bridge {network.bridge}"] if network.bridge else []
    facts += [f"VNI {vni}" for vni in network.vnis]
    facts += ["internal"] if network.internal else []
    facts += ["addresses by DHCP"] if network.leases else []
    return f"network [bold]{escape(network.name)}[/bold]  {escape(', '.join(facts))}"


def _member_lines(container: ContainerDescription, network: str) -> Iterable[str]:
    for interface in container.interfaces:
        if interface.network == network:
            state = "" if container.state == "running" else f"  ({container.state})"
            yield (
                f"container [bold]{escape(container.name)}[/bold]  {interface.name}  {interface.address}  "
                f"[dim]{interface.mac}[/dim]{state}"
            )


def _link_line(link: LinkDescription) -> str:
    facts = [link.properties] if link.properties else []
    facts += [link.subnet] if link.subnet else []
    return f"{escape(link.ends[0])} -- {escape(link.ends[1])}" + (f"  {escape(', '.join(facts))}" if facts else "")
