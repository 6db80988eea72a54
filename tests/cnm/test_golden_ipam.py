"""The recorded d-ipam transcripts, replayed: networks, addresses and the daemon's messages, per engine.

Sections: d1 default pools, d1b freed pools, d2 address order, d3 exhaustion and small subnets, d4 errors,
d5 MAC addresses, d6 ranges, gateways and auxiliary addresses. Text added by the docker command line tool is
masked; ids and random MAC addresses too.
"""

from __future__ import annotations

import json

import pytest

from tests.cnm.replay import Replay, assert_same_json
from tests.cnm.transcript import ENGINES, GOLDEN, read


@pytest.mark.parametrize("engine", ENGINES)
def test_every_command_of_the_transcript_is_answered_as_recorded(engine: str) -> None:
    replay = Replay(engine)
    commands = read(engine)
    played = set()
    for command in commands:
        replay.play(command)
        played.add(command.section)
    assert played == {"d1", "d1b", "d2", "d3", "d4", "d5", "d6"}
    assert len(commands) > 150


def test_usage_of_subnets_is_shown_as_engine_29_shows_it() -> None:
    replay = Replay("29")
    for command in read("29", "commands2-status.log"):
        if command.section == "raw":
            break
        if command.argv[-1] in ("s6", "only6") or "--ipv6" in command.argv or command.argv[-3:-2] == ["a5"]:
            continue
        if "inh" in command.argv and command.argv[2] == "rm":
            break
        if command.argv[0] == "docker" and "s6" not in command.argv and "only6" not in command.argv:
            replay.play(command)


@pytest.mark.parametrize("engine", ["20.10", "28"])
def test_a_restart_takes_the_lowest_free_address_of_the_moment(engine: str) -> None:
    replay = Replay(engine)
    for command in read(engine, "commands2-restart.log"):
        if "--ipv6" in command.argv or "v6b" in command.argv:
            continue
        if command.argv[1] != "inspect":
            replay.play(command)


@pytest.mark.parametrize(("engine", "host"), [("20.10", "dk1"), ("28", "dk4"), ("29", "dn1")])
def test_inspect_prints_what_the_engine_prints(engine: str, host: str) -> None:
    folder = GOLDEN / engine / "a-default-bridge"
    replay = Replay(engine)
    c1 = replay.lab.container("c1", "bridge", hostname="c1")
    replay.lab.container("c2", "bridge", hostname="c2")
    recorded = json.loads((folder / f"network-{host}-bridge-running.json").read_text())
    names = {key: entry["Name"] for key, entry in recorded[0]["Containers"].items()}
    recorded[0]["Containers"] = {k: recorded[0]["Containers"][k] for k in sorted(names, key=names.__getitem__)}
    assert_same_json([replay.lab.controller.network("bridge").attrs], recorded)
    assert_same_json(c1.network_settings(), json.loads((folder / f"inspect-{host}-c1.json").read_text()))


def test_engine_29_s_api_answers_for_a_network_with_containers_and_with_auxiliary_addresses() -> None:
    folder = GOLDEN / "29" / "d-ipam"
    replay = Replay("29")
    network = replay.lab.controller.create_network("s24", subnet="10.60.0.0/24")
    replay.lab.container("a1", "s24")
    replay.lab.container("a2", "s24")
    assert_same_json(network.attrs, json.loads((folder / "api-network-s24-two-containers.json").read_text()))
    other = replay.lab.controller.create_network(
        "sa", subnet="10.62.0.0/24", gateway="10.62.0.254", aux_addresses={"router": "10.62.0.2", "dns": "10.62.0.3"}
    )
    assert_same_json(other.attrs, json.loads((folder / "api-network-sa.json").read_text()))
