"""Packets that are longer than the MTU: fragments, reassembly, and "message too long".

    emu run topologies/fragments.py

c1 pings c2 with 1472, 1473 and 4000 bytes of data. 1472 just fits (1500 with both headers). 1473 with DF set does not
leave c1 at all. Without DF it goes out as two fragments, 4000 bytes as three.

What to look at in Wireshark:

* `ip.flags.mf == 1 || ip.frag_offset > 0`              all fragments; those of one packet share `ip.id` and
                                                        `frame.packet_id`.
* `icmp && frame.interface_name == "host1:docker0"`     no fragments here: with bridge-nf-call-iptables=1, as on every
                                                        Docker host, the bridge's firewall sees the packet put together
                                                        again (4042 bytes on a 1500 byte bridge).
* `icmp && frame.interface_name contains "veth"`        before and behind the bridge the fragments are as they were.
* `icmp.type == 3`                                      nothing: "message too long" is c1's own doing.
"""

import emu


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, size: int = 4000) -> None:
    """Ping with sizes around the MTU and with `size` bytes of data (1473 to 65507)."""
    c1 = net.host.containers.run("c1")
    c2 = net.host.containers.run("c2")
    fits = c1.ping(c2, count=1, size=1472, dont_fragment="do", at="3s")
    too_long = c1.ping(c2, count=1, size=1473, dont_fragment="do", at="4s")
    in_two = c1.ping(c2, count=1, size=1473, dont_fragment="dont", at="6s")
    in_many = c1.ping(c2, count=1, size=size, at="7s")

    net.expect("1472 bytes of data fit into one packet", lambda: fits.result.received == 1)
    net.expect("1473 with DF are refused on the spot", lambda: "message too long, mtu=1500" in too_long.result.text)
    net.expect("1473 without DF arrive in fragments", lambda: in_two.result.received == 1)
    net.expect(f"{size} bytes arrive in fragments", lambda: in_many.result.received == 1)


if __name__ == "__main__":
    emu.main(topology)
