"""What /etc/resolv.conf would say in a namespace."""

from tests.stack.world import World


def test_a_namespace_has_no_name_servers_until_it_is_told_of_some():
    resolver = World().namespace("a").resolver
    assert resolver.text() == ""
    resolver.set(["10.0.0.53", "10.0.0.54"], "lan.example")
    assert resolver.text() == "search lan.example\nnameserver 10.0.0.53\nnameserver 10.0.0.54\n"
    resolver.set(["10.0.0.1"])
    assert resolver.text() == "nameserver 10.0.0.1\n"
