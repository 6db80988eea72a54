"""Many containers on many hosts, all on one overlay network: how many frames that takes.

    emu run topologies/overlay_many.py --set hosts=10 --set containers=5 --set pairs=random

Each container pings one other: its right-hand neighbour (`pairs=ring`, where the neighbour of a host's last container
is on the next host) or anyone (`pairs=random`). With flood and learn every question would go to every host; here the
control plane has programmed all entries, so that only echo requests and replies cross the switch.

What to look at in Wireshark (out/overlay_many/capture.pcapng):

* `vxlan && frame.interface_name == "host1:eth0"`   what host1 exchanges with the others; `ip.dst` of the outer header
                                                    is the one host that has the destination.
* `arp && !vxlan && frame.interface_name == "host1:eth0"`   host1 looking for other hosts, never for containers.
* `arp && vxlan`             nothing at all: no ARP frame of a container crosses the underlay.
* Statistics > Conversations > UDP, with the filter `vxlan`: one source port for each pair of containers.
"""

import emu

MOST = 2000


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, hosts: int = 4, containers: int = 3, pairs: str = "ring", count: int = 2) -> None:
    """Ping in pairs; hosts: 2 to 254; containers: on each of them; pairs: ring or random; count: requests of each."""
    if not 2 <= hosts <= 254:
        raise emu.InvalidValue(f"hosts={hosts}: expected 2 to 254, one subnet of the underlay")
    if not 1 <= containers <= MOST // hosts:
        raise emu.InvalidValue(f"containers={containers}: expected 1 to {MOST // hosts} on each of {hosts} hosts")
    if pairs not in ("ring", "random"):
        raise emu.InvalidValue(f'pairs="{pairs}": expected "ring" or "random"')
    tor = net.add_switch("tor")
    machines = [net.add_host(f"host{number + 1}") for number in range(hosts)]
    for machine in machines:
        net.add_link(machine, tor, rate="10Gbit", delay="5us")
    crowd = net.networks.create("crowd", driver="overlay", subnet="10.64.0.0/16", attachable=True)
    boxes = [
        machine.containers.run(f"c{index * containers + number + 1}", network=crowd)
        for index, machine in enumerate(machines)
        for number in range(containers)
    ]
    draw = net.random("pairs")
    pings = []
    for index, box in enumerate(boxes):
        step = 1 if pairs == "ring" else draw.randrange(1, len(boxes))
        pings.append((box, boxes[(index + step) % len(boxes)]))
    # Spread over a second, after the announcements: all at once would be more than one CPU's backlog holds.
    tasks = [
        box.ping(other.addresses["crowd"], count=count, at=3_000_000_000 + index * 1_000_000_000 // len(boxes))
        for index, (box, other) in enumerate(pings)
    ]
    crossing = sum(box.host is not other.host for box, other in pings)

    def tunnelled() -> int:
        return sum(crowd.on(machine).interface("vxlan0").counters.tx_packets for machine in machines)

    net.expect("every ping is answered", lambda: all(task.result.received == count for task in tasks))
    net.expect("only echoes between hosts are tunnelled", lambda: tunnelled() == 2 * count * crossing)


if __name__ == "__main__":
    emu.main(topology)
