"""Runs a recorded transcript's docker commands against a controller and compares every answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from emu.cnm.endpoint import EndpointSettings
from emu.cnm.ids import format_mac
from emu.kernel.errors import Conflict, EmuError, NotFound
from tests.cnm.attachments import Attachments
from tests.cnm.lab import Lab
from tests.cnm.transcript import Command, mask

#: What these commands print belongs to other rooms: the engine's version of `ps`, and HTTP itself.
SKIPPED = {"ps", "GET", "events"}


class Replay:
    """A host, its containers by name, and the docker commands a transcript uses."""

    def __init__(self, engine: str) -> None:
        self.lab = Lab(engine)
        self.engine = engine
        self.containers: dict[str, Attachments] = {}

    def play(self, command: Command) -> None:
        """Run one command and compare its outcome with the recorded one."""
        argv = command.argv
        if argv[0] != "docker" or argv[1] in SKIPPED:
            return
        words = argv[1:3] if argv[1] == "network" else argv[1:2]
        method = getattr(self, "_" + "_".join(words))
        where = f"engine {self.engine}, line {command.number}: {' '.join(argv)}"
        error = self._error_of(method, argv[1 + len(words) :], command)
        assert (error is not None) == command.failed, f"{where}: {error or 'no error'}, recorded: {command.message}"
        if error is not None:
            # The tool of 20.10 ends every message of `docker run` with one full stop.
            assert (where, mask(error).removesuffix(".")) == (where, command.message.removesuffix("."))
        for note in command.notes:
            self._compare_note(note, where)
        removed = re.match(r"\(removed all (.*)\)", command.remark)
        if removed:
            prefixes = tuple(word.rstrip("*") for word in removed[1].split(", "))
            for network in self.lab.controller.networks():
                if network.name.startswith(prefixes) and network.name != "none":
                    self.lab.controller.remove_network(network)

    @staticmethod
    def _error_of(method: Callable[[list[str], Command], None], words: list[str], command: Command) -> str | None:
        try:
            method(words, command)
        except EmuError as error:
            return str(error)
        return None

    # docker network ...

    def _network_create(self, words: list[str], command: Command) -> None:
        options: dict[str, Any] = {"subnet": [], "aux_addresses": {}}
        name = ""
        while words:
            word = words.pop(0)
            if word in ("--subnet", "--ip-range", "--gateway", "-d", "--driver"):
                key = {"-d": "driver", "--driver": "driver"}.get(word, word.strip("-").replace("-", "_"))
                options[key] = [*options["subnet"], words.pop(0)] if key == "subnet" else words.pop(0)
            elif word == "--aux-address":
                key, _, value = words.pop(0).partition("=")
                options["aux_addresses"][key] = value
            elif word == "--internal":
                options["internal"] = True
            elif word == "-o":
                key, _, value = words.pop(0).partition("=")
                options.setdefault("options", {})[key] = value
            else:
                name = word
        self.lab.controller.create_network(name, **options)

    def _network_rm(self, words: list[str], command: Command) -> None:
        for name in words:
            if not command.failed:
                self._remove_silently(name)
            self.lab.controller.remove_network(name)

    def _remove_silently(self, network: str) -> None:
        """The recording script removed the containers of a network without logging it."""
        for name, container in list(self.containers.items()):
            if network in container.network_names and container.sandbox is not None:
                container.stop()
                del self.containers[name]

    def _network_prune(self, words: list[str], command: Command) -> None:
        for container in self.containers.values():
            if container.sandbox is not None:
                container.stop()
        recorded = [line for line in command.lines if line and line != "Deleted Networks:"]
        assert self.lab.controller.prune_networks() == recorded

    def _network_ls(self, words: list[str], command: Command) -> None:
        recorded = sorted(re.split(r"\s{2,}", line.strip())[1] for line in command.lines[1:])
        assert sorted(network.name for network in self.lab.controller.networks()) == recorded

    def _network_inspect(self, words: list[str], command: Command) -> None:
        attrs = self.lab.controller.network(words[-1]).attrs
        recorded = "\n".join(command.lines)
        if words[0] != "-f":
            assert_same_json([attrs], json.loads(recorded))
            return
        found = words[1].replace("{{json .IPAM}}", json.dumps(attrs["IPAM"], separators=(",", ":")))
        found = found.replace("{{.Internal}}", str(attrs["Internal"]).lower())
        assert found == recorded

    def _network_connect(self, words: list[str], command: Command) -> None:
        settings = EndpointSettings()
        if words[0] == "--ip":
            settings.ipv4_address = words[1]
            words = words[2:]
        container = self.containers.get(words[1])
        if container is None:
            raise NotFound(f"No such container: {words[1]}")
        container.connect(words[0], settings)

    def _network_disconnect(self, words: list[str], command: Command) -> None:
        force = words[0] == "-f"
        network, name = words[-2:]
        self.containers[name].disconnect(network, force=force)

    # docker run, rm, stop, start, restart, exec

    def _run(self, words: list[str], command: Command) -> None:
        options = dict(zip(words[1::2], words[2::2], strict=False))
        name = options["--name"]
        if name in self.containers:
            number = self.containers[name]._container_id
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{number}". You have to '
                "remove (or rename) that container to be able to reuse that name."
            )
        container = Attachments(self.lab.controller, name, self.lab.container_id())
        container.add(
            options.get("--network", "bridge"),
            EndpointSettings(options.get("--ip"), options.get("--mac-address")),
        )
        self.containers[name] = container
        container.start()

    def _rm(self, words: list[str], command: Command) -> None:
        names = [word for word in words if word != "-f"]
        recorded = [line for line in command.lines if not line.startswith("Error")]
        assert [name for name in names if name in self.containers] == recorded, command.number
        for name in recorded:
            container = self.containers.pop(name)
            if container.sandbox is not None:
                container.stop()
        command.failed = False

    def _stop(self, words: list[str], command: Command) -> None:
        self.containers[words[-1]].stop()

    def _start(self, words: list[str], command: Command) -> None:
        self.containers[words[-1]].start()

    def _restart(self, words: list[str], command: Command) -> None:
        self._stop(words, command)
        self._start(words, command)

    def _exec(self, words: list[str], command: Command) -> None:
        assert words[1:] == ["ip", "route"]
        sandbox = self._sandbox_of(words[0])
        recorded = [" ".join(line.split()) for line in command.lines if line]
        found = sandbox.namespace.routes.text().replace(" proto kernel", "").splitlines()  # BusyBox leaves that out
        assert [" ".join(line.split()) for line in found] == recorded

    # what the recording script printed afterwards

    def _compare_note(self, note: str, where: str) -> None:
        created = re.fullmatch(r"(\S+) (\S+/\d+) gw (\S+)", note)
        status = re.fullmatch(r"status (\S+): (.*)", note)
        if created:
            network = self.lab.controller.network(created[1])
            assert network.gateway is not None
            assert (str(network.subnet), str(network.gateway.ip)) == (created[2], created[3]), where
        elif status:
            attrs = self.lab.controller.network(status[1]).attrs
            assert {"IPAM": attrs["IPAM"], "Status": attrs["Status"]} == json.loads(status[2]), where
        else:
            self._compare_container(note, where)

    def _compare_container(self, note: str, where: str) -> None:
        name, _, listed = note.partition(": ")
        recorded = re.findall(r"(\S+)=(\d\S+)(?: gw=(\S*|invalid IP))? mac=(\S*)", listed)
        sandbox = self._sandbox_of(name)
        found = {}
        for endpoint in sandbox.endpoints if sandbox is not None else ():
            gateway = "" if endpoint.gateway is None else str(endpoint.gateway)
            found[endpoint.network.name] = (str(endpoint.address), gateway, format_mac(endpoint.mac))
        assert sorted(found) == sorted(entry[0] for entry in recorded), where
        for network, address, gateway, mac in recorded:
            own_address, own_gateway, own_mac = found[network]
            assert own_address == address or own_address.partition("/")[0] == address, where
            if "gw=" in listed:
                assert own_gateway == gateway.replace("invalid IP", ""), where
            if self.engine == "20.10" or self._has_fixed_mac(name):
                assert own_mac == mac, where

    def _sandbox_of(self, name: str) -> Any:
        return self.containers[name].sandbox

    def _has_fixed_mac(self, name: str) -> bool:
        return any(entry.settings.mac_address for entry in self.containers[name]._attachments.values())


def assert_same_json(found: Any, recorded: Any) -> None:
    """Compare JSON including the order of keys; ids, times and random MAC addresses are masked."""
    assert _masked(found) == _masked(recorded)


def _masked(value: Any) -> str:
    text = mask(json.dumps(value, indent=1))
    text = re.sub(r'"Created": "[^"]+"', '"Created": "<time>"', text)
    text = re.sub(r"/var(/run/docker/netns/)[0-9a-f]{12}", r"\1<sandbox>", text)
    text = re.sub(r"(/run/docker/netns/)[0-9a-f]{12}", r"\1<sandbox>", text)
    return re.sub(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "<mac>", text)
