"""An emulation as a script holds it: hosts, names, times, expectations, results."""

from __future__ import annotations

from pathlib import Path

import pytest

import emu
from emu.kernel.errors import Conflict, InvalidValue, NotFound, NotSupported, TaskNotFinished


def test_the_host_is_made_on_first_use_and_is_then_the_only_one() -> None:
    net = emu.Emulation()
    assert net.host.name == "host1"
    assert net.host is net.host
    assert list(net.hosts) == ["host1"]


def test_a_host_that_was_added_is_the_host() -> None:
    net = emu.Emulation()
    added = net.add_host("alpha")
    assert net.host is added


def test_with_several_hosts_the_script_must_say_which() -> None:
    net = emu.Emulation()
    net.add_host("alpha")
    net.add_host("beta")
    with pytest.raises(Conflict, match=r"net.host: there are several hosts \(alpha, beta\)"):
        _ = net.host


def test_names_are_unique_among_hosts_switches_and_containers() -> None:
    net = emu.Emulation()
    host = net.add_host("alpha")
    host.containers.run("web")
    with pytest.raises(Conflict, match="host web: the name is already in use by a container"):
        net.add_host("web")
    with pytest.raises(Conflict, match="switch alpha: the name is already in use by a host"):
        net.add_switch("alpha")
    with pytest.raises(Conflict, match="container alpha: the name is already in use by a host"):
        host.containers.run("alpha")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a/b"])
def test_a_name_that_would_break_interface_names_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="invalid host name"):
        emu.Emulation().add_host(name)


def test_more_than_one_cpu_is_refused_until_it_is_built() -> None:
    with pytest.raises(NotSupported, match="cpus=2"):
        emu.Emulation().add_host("alpha", cpus=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": "1"}, "invalid seed '1': expected a whole number"),
        ({"engine": 29}, 'invalid engine 29: expected text, such as "29"'),
        ({"cost": "free"}, "invalid cost 'free'"),
        ({"until": "soon"}, "invalid until 'soon'"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        emu.Emulation(**settings)  # type: ignore[arg-type]


def test_an_unknown_engine_lists_those_that_are_known() -> None:
    with pytest.raises(NotFound, match=r'unknown engine "19": choose one of "20.10", "28", "29"'):
        emu.Emulation(engine="19")


def test_work_on_a_host_can_be_free_or_cost_what_linux_needs() -> None:
    times = {}
    for cost in ("none", "linux"):
        net = emu.Emulation(cost=cost)
        web, db = net.host.containers.run("web"), net.host.containers.run("db")
        ping = web.ping(db, count=1)
        net.run()
        times[cost] = ping.result.rtts_ns[0]
    assert times["none"] == 0
    assert 10_000 < times["linux"] < 1_000_000


def test_a_function_is_called_at_its_time() -> None:
    net = emu.Emulation()
    calls: list[tuple[int, str, int]] = []
    net.at("5s", lambda word, number: calls.append((net.now, word, number)), "hello", number=3)
    net.run()
    assert calls == [(5_000_000_000, "hello", 3)]


def test_the_past_is_an_error() -> None:
    net = emu.Emulation()
    net.at("1s", lambda: None)
    net.run()
    with pytest.raises(InvalidValue, match="at=500ms: that is in the past, it is 1s already"):
        net.at("500ms", lambda: None)


def test_a_run_with_until_ends_exactly_then() -> None:
    net = emu.Emulation(until="2s")
    net.spawn((net.timeout("5s") for _ in range(1)), name="sleeper")
    assert net.run().now_ns == 2_000_000_000
    assert net.run(until="3s").now_ns == 3_000_000_000


def test_a_run_can_be_continued() -> None:
    net = emu.Emulation()
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    ping = web.ping(db, count=3)
    net.run(until="1500ms")
    assert (ping.unfinished, ping.result.received) == (True, 2)
    net.run()
    assert (ping.unfinished, ping.result.received) == (False, 3)


def test_expectations_are_checked_after_the_run() -> None:
    net = emu.Emulation()
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    ping = web.ping(db, count=1)
    net.expect("it is answered", lambda: ping.result.received == 1)
    net.expect("it is not", lambda: ping.result.received == 0)
    result = net.run()
    assert [(entry.text, entry.met) for entry in result.expectations] == [
        ("it is answered", True),
        ("it is not", False),
    ]
    assert not result.ok


def test_a_ping_that_never_started_has_an_empty_result() -> None:
    net = emu.Emulation()
    late = net.host.containers.run("web").ping("172.17.0.1", at="5s")
    net.expect("answered", lambda: late.result.received == 4)
    (expectation,) = net.run(until="1s").expectations
    assert not expectation.met
    assert (late.result.transmitted, late.waiting_for) == (0, "its start")


def test_an_expectation_that_looks_at_something_unfinished_is_not_met_and_says_why() -> None:
    net = emu.Emulation()
    net.expect("answered", lambda: net.host.containers.get("web"))
    (expectation,) = net.run().expectations
    assert (expectation.met, expectation.problem) == (False, "No such container: web")


def test_a_mistake_in_a_condition_is_an_error_and_not_a_failed_expectation() -> None:
    net = emu.Emulation()
    net.expect("typo", lambda: net.noww)  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        net.run()


def test_an_expectation_must_be_callable() -> None:
    with pytest.raises(InvalidValue, match="the condition is called after the run"):
        emu.Emulation().expect("now", True)  # type: ignore[arg-type]


def test_a_task_has_no_result_while_the_topology_is_built() -> None:
    net = emu.Emulation()
    ping = net.host.containers.run("web").ping("172.17.0.1")
    with pytest.raises(TaskNotFinished):
        _ = ping.result


def test_processes_of_a_script_wait_for_tasks_and_times() -> None:
    net = emu.Emulation()
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    seen: list[tuple[int, int]] = []

    def story():  # type: ignore[no-untyped-def]
        yield net.timeout("2s")
        result = yield web.ping(db, count=1)
        seen.append((net.now // 1_000_000_000, result.received))

    task = net.spawn(story())
    net.run()
    assert seen == [(2, 1)]
    assert task.name == "story"


def test_spawn_takes_a_generator_and_says_so() -> None:
    with pytest.raises(InvalidValue, match="spawn takes a generator"):
        emu.Emulation().spawn(lambda: None)  # type: ignore[arg-type]


def test_a_scripts_random_numbers_follow_from_the_seed_and_the_name() -> None:
    def draw(seed: int, stream: str) -> float:
        return emu.Emulation(seed=seed).random(stream).random()

    assert draw(1, "a") == draw(1, "a")
    assert len({draw(1, "a"), draw(2, "a"), draw(1, "b")}) == 3


def test_the_summary_is_the_same_for_the_same_seed_and_has_no_paths(tmp_path: Path) -> None:
    def summary(folder: str) -> dict[str, object]:
        net = emu.Emulation(seed=5)
        net.folder = tmp_path / folder
        with net:
            net.capture("all.pcapng")
            web, db = net.host.containers.run("web"), net.host.containers.run("db")
            web.ping(db, count=2)
            return net.run().summary()

    assert summary("a") == summary("b")
    assert str(tmp_path) not in str(summary("c"))


def test_counters_survive_the_end_of_a_container() -> None:
    net = emu.Emulation()
    web, db = net.host.containers.run("web"), net.host.containers.run("db")
    web.ping(db, count=1)
    net.at("1s", db.stop)
    (entry,) = [entry for entry in net.run().interfaces if entry.name == "db:eth0"]
    assert entry.rx_packets > 0


def test_net_networks_is_the_only_hosts_networks() -> None:
    net = emu.Emulation()
    shop = net.networks.create("shop")
    assert net.host.networks.get("shop") is shop


def test_local_networks_belong_to_one_host_when_there_are_several() -> None:
    net = emu.Emulation()
    net.add_host("host1")
    net.add_host("host2")
    with pytest.raises(InvalidValue) as caught:
        net.networks.create("shop")
    assert str(caught.value) == (
        '"bridge" networks belong to one host: use host1.networks.create(...) or host2.networks.create(...)'
    )
    with pytest.raises(NotFound, match='plugin "mesh" not found'):
        net.networks.create("shop", driver="mesh")
    assert list(net.networks.list()) == []


def test_an_unknown_attribute_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'emu' has no attribute 'Emulaton'"):
        _ = emu.Emulaton
