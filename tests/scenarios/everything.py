"""A little of everything that draws random numbers or keeps state, in one short run: for the tests of determinism."""

import emu


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation) -> None:
    """An overlay with every program over impaired lines, offload on a bridge, and leased addresses."""
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    link = net.add_link(
        h1, h2, rate="50Mbit", delay="2ms", jitter="1ms", distribution="pareto", queue=emu.CoDel(ecn=True)
    )
    link.set(loss=emu.GilbertElliott(p="1%", r="50%"), reorder="1%", duplicate="1%", corrupt="0.2%")
    shop = net.networks.create("shop", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    web = h1.containers.run("web", network=shop, sysctls={"net.ipv4.tcp_ecn": 1})
    db = h2.containers.run("db", network=shop, sysctls={"net.ipv4.tcp_ecn": 1})
    web.interface("eth0").set(rate="20Mbit", burst="16KiB", queue=emu.Red("3KiB", "9KiB", weight=0.1, ecn=True))
    db.serve_http(pages={"/": 20_000})
    db.serve_requests()
    web.http_get("db", at="1s")
    web.iperf("db", time="300ms", interval="100ms", parallel=2, at="2s")
    web.iperf("db", protocol="udp", time="300ms", interval="100ms", bitrate="5Mbit", at="3s")
    web.load("db", rate=200, time="300ms", at="4s")
    web.load("db", workers=3, count=30, at="4s")
    web.traceroute("db", at="5s")
    web.ping("db", count=3, interval="200ms", at="5s")
    db.netcat_listen(9000, data=b"answer", at="6s")
    web.netcat("db", 9000, data=b"question", at="6s")

    long, short = (h1.containers.run(name, offload=name == "long") for name in ("long", "short"))
    long.iperf(short, bytes=300_000, at="1s")

    lan = h2.networks.create("lan", subnet="10.0.0.0/24", ipam={"driver": "dhcp", "options": {"lease_time": "2min"}})
    first, second = (h2.containers.run(name, network=lan) for name in ("first", "second"))
    first.ping("second", count=1)
    net.at("8s", second.restart)
    net.at("70s", first.stop)
    dice = net.random("script")

    def rolling():
        for _ in range(3):
            yield net.timeout(dice.randrange(1_000_000))

    net.spawn(rolling())
    net.expect("leases are taken and given back", lambda: net.now > 70_000_000_000)


if __name__ == "__main__":
    emu.main(topology)
