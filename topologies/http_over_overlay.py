"""A web page over an overlay network: from the SYN to the last byte, inside VXLAN.

    emu run topologies/http_over_overlay.py
    emu run topologies/http_over_overlay.py --set size=10000000
    emu run topologies/http_over_overlay.py --split               # then look at the files of single interfaces

`web` on host1 asks `shop` on host2 for three pages: a small one and a big one on one connection (keep-alive), then one
that takes the server 20 ms, which comes in chunks. It also asks for a page that is not there, and for a port where
nobody listens. Both hosts are on one cable of 1 Gbit/s; the containers' segments carry 1398 bytes, 50 less than on
the cable, because each goes inside a VXLAN packet.

What to look at in Wireshark: out/http_over_overlay/capture.pcapng for the way of a packet, and, because there every
segment is at ten interfaces, by-interface/web-eth0.pcapng (with `--split`) for HTTP and for Wireshark's TCP analysis.

* `http`                                                (web-eth0.pcapng) requests and responses at the client.
* `tcp.flags.reset == 1`                                (web-eth0.pcapng) the port where nobody listens.
* `tcp.flags.syn == 1 && frame.interface_name == "web:eth0"`   MSS 1410: 1450 less 40; with time stamps 1398 are left.
* `vxlan && frame.interface_name == "host1:eth0"`       the same segments on the cable, 50 bytes longer.
"""

import emu

PAGES = ("/", "/photo")


@emu.scenario(engine="29", seed=1)
def topology(net: emu.Emulation, size: int = 1_000_000, delay: str = "1ms") -> None:
    """Fetch pages over an overlay; size: bytes of the big page; delay: of the cable."""
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    net.add_link(h1, h2, rate="1Gbit", delay=delay)
    mall = net.networks.create("mall", driver="overlay", subnet="10.0.9.0/24", attachable=True)
    web = h1.containers.run("web", network=mall)
    shop = h2.containers.run("shop", network=mall)

    def search(request):
        yield net.timeout("20ms")  # it has to think
        return emu.HttpResponse([f"results for {request.query}\n".encode(), b"none\n"])

    site = shop.serve_http(pages={"/": "<h1>Welcome</h1>\n", "/photo": size})
    slow = shop.serve_http(8080, handler=search)

    pages = web.http_get("shop", PAGES, at="1s")
    found = web.http_get("http://shop:8080/search?q=emu", at="3s")
    missing = web.http_get("shop", "/nope", at="4s")
    closed = web.http_get("shop", port=81, at="5s")

    net.expect("both pages arrive whole", lambda: [len(page.body) for page in pages.result.answers] == [17, size])
    net.expect("on one connection", lambda: pages.result.text.count("* Connected to shop") == 1)
    net.expect(
        "connecting takes a round trip, a request another one",
        lambda: 1.9 < _round_trips(missing.result) < 2.3,
    )
    net.expect("the slow page comes in chunks, after 20 ms", lambda: _is_slow_and_chunked(found.result))
    net.expect("a page that is not there is 404", lambda: missing.result.status == 404)
    net.expect(
        "a port where nobody listens is refused at once",
        lambda: closed.result.error == "curl: (7) Failed to connect to shop port 81: Connection refused",
    )
    net.expect("the access log has them all", lambda: site.log_text.count("\n") == 3 and slow.requests == 1)


def _round_trips(result) -> float:
    return result.first_byte_ns / result.connect_ns if result.answers else 0.0


def _is_slow_and_chunked(result) -> bool:
    if not result.answers:
        return False
    waited_ns = result.first_byte_ns - result.connect_ns
    return waited_ns > 20_000_000 and result.answers[0].header("Transfer-Encoding") == "chunked"


if __name__ == "__main__":
    emu.main(topology)
