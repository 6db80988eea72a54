"""The recorded d-ipam transcripts, replayed through the API that scripts use: the same answers as the engines gave.

`tests/cnm/test_golden_ipam.py` replays them against the controller alone; here `host.networks`, `host.containers`
and `Container` stand between, with their own checks and words.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

import emu
from emu.cnm.network import Network
from emu.kernel.errors import Conflict, EmuError
from tests.cnm.replay import Replay
from tests.cnm.transcript import ENGINES, Command, read


class _Networks:
    """What the replay calls of the controller, answered by `host.networks`."""

    def __init__(self, host: emu.Host) -> None:
        self._host = host
        self.prune_networks = host.networks.prune

    def create_network(self, name: str, **options: Any) -> None:
        self._host.networks.create(name, **options)

    def remove_network(self, network: str | Network) -> None:
        self._host.networks.get(network if isinstance(network, str) else network.name).remove()

    def network(self, name: str) -> Network:
        return self._host.networks.get(name).cnm

    def networks(self) -> list[Network]:
        return [network.cnm for network in self._host.networks.list()]


class _Lab:
    """In place of `tests.cnm.lab.Lab`: a host with the recorded uplink."""

    def __init__(self, engine: str) -> None:
        net = emu.Emulation(engine=engine, seed=1)
        self.host = net.add_host("dk")
        net.add_link(self.host, net.add_host("outside"), subnet="203.0.113.0/24")
        self.host.interface("eth0")
        self.controller = _Networks(self.host)


class ApiReplay(Replay):
    """Runs the transcript's commands with emu's own API.

    Docker keeps a container whose start failed as "Created"; emu keeps none, so here only its name is remembered.
    """

    def __init__(self, engine: str) -> None:
        super().__init__(engine)
        self.lab: Any = _Lab(engine)
        self.created: set[str] = set()
        self.fixed_macs: set[str] = set()

    def _remove_silently(self, network: str) -> None:
        for container in self.lab.host.containers.list():
            if network in container.addresses:
                container.remove(force=True)
                del self.containers[container.name]

    def _network_prune(self, words: list[str], command: Command) -> None:
        for container in self.lab.host.containers.list():
            container.stop()
        super()._network_prune(words, command)

    def _network_connect(self, words: list[str], command: Command) -> None:
        address = None
        if words[0] == "--ip":
            address, words = words[1], words[2:]
        container = self.lab.host.containers.get(words[1])
        self.lab.host.networks.get(words[0]).connect(container, ipv4_address=address)

    def _network_disconnect(self, words: list[str], command: Command) -> None:
        network, name = words[-2:]
        container = self.lab.host.containers.get(name)
        self.lab.host.networks.get(network).disconnect(container, force=words[0] == "-f")

    def _run(self, words: list[str], command: Command) -> None:
        options = dict(zip(words[1::2], words[2::2], strict=False))
        name = options["--name"]
        if name in self.created:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{"0" * 64}". You have to '
                "remove (or rename) that container to be able to reuse that name."
            )
        try:
            self.containers[name] = self.lab.host.containers.run(
                name,
                network=options.get("--network"),
                ipv4_address=options.get("--ip"),
                mac_address=options.get("--mac-address"),
            )
        except EmuError:
            if re.fullmatch("[0-9a-f]{64}", command.lines[0]):
                self.created.add(name)  # the engine had created it, and failed to start it
            raise
        if "--mac-address" in options:
            self.fixed_macs.add(name)

    def _rm(self, words: list[str], command: Command) -> None:
        recorded = [line for line in command.lines if not line.startswith("Error")]
        known = [name for name in words if name in self.containers or name in self.created]
        assert known == recorded, command.number
        for name in known:
            self.created.discard(name)
            self.fixed_macs.discard(name)
            if name in self.containers:
                self.containers.pop(name).remove(force=True)
        command.failed = False

    def _start(self, words: list[str], command: Command) -> None:
        container: Any = self.containers[words[-1]]
        assert container.state == "exited"
        container.start()

    def _compare_container(self, note: str, where: str) -> None:
        if note.partition(": ")[0] in self.created:
            assert not re.search(r"=\d", note), f"{where}: it has an address"
            return
        super()._compare_container(note, where)

    def _sandbox_of(self, name: str) -> Any:
        container: Any = self.containers[name]
        return container.sandbox if container.running else None

    def _has_fixed_mac(self, name: str) -> bool:
        return name in self.fixed_macs


@pytest.mark.parametrize("engine", ENGINES)
def test_every_command_is_answered_as_recorded(engine: str) -> None:
    replay = ApiReplay(engine)
    commands = read(engine)
    for command in commands:
        replay.play(command)
    assert len(commands) > 150
