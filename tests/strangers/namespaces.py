"""Two throw-away network namespaces joined by a veth pair: a real program at one end, the emulation at the other.

Both ends of the pair are born inside these namespaces, so no interface outside of them is ever touched.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest

STRANGER = "stranger0"
"""The interface that the real program uses."""
PUMP = "pump0"
"""The interface whose frames the emulation gets."""
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17
DEADLINE_S = 10.0

Result = TypeVar("Result")
_numbers = count(1)


def skip_without(*programs: str) -> None:
    """Skip the test, saying why, when network namespaces or one of the programs cannot be had."""
    if os.geteuid() != 0:
        pytest.skip("needs root: only root may make network namespaces")
    packages = {"ip": "iproute2", "dnsmasq": "dnsmasq-base", "busybox": "busybox"}
    for program in ("ip", *programs):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: apt-get install {packages[program]})")
    if "busybox" in programs and "udhcpc" not in run("busybox", "--list").split():
        pytest.skip("this busybox was built without udhcpc")


def run(*command: str) -> str:
    """Run a command that must succeed and return what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


class Segment:
    """The two namespaces; use it in a `with` statement, which removes them and ends the programs whatever happens.

    socket: a packet socket on the emulation's end, non-blocking.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        name = f"emu-test-{os.getpid()}-{next(_numbers)}"
        self._stranger, self._pump = f"{name}-a", f"{name}-b"
        self._programs: list[subprocess.Popen[bytes]] = []
        self.socket: socket.socket | None = None

    def __enter__(self) -> Segment:
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _make(self) -> None:
        for name in (self._stranger, self._pump):
            made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")
        pair = ["link", "add", STRANGER, "type", "veth", "peer", "name", PUMP, "netns", self._pump]
        made = subprocess.run(["ip", "-n", self._stranger, *pair], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"veth pairs cannot be made here: {made.stderr.strip()}")
        for name, device in ((self._stranger, STRANGER), (self._pump, PUMP)):
            run("ip", "-n", name, "link", "set", device, "addrgenmode", "none")  # no IPv6 of its own
            run("ip", "-n", name, "link", "set", device, "up")
        within(self._stranger, _compute_checksums_in_software)
        self.socket = within(self._pump, _open_packet_socket)

    def _remove(self) -> None:
        self.kill_all()
        if self.socket is not None:
            self.socket.close()
        for name in (self._stranger, self._pump):
            if Path("/run/netns", name).exists():
                subprocess.run(["ip", "netns", "del", name], check=False, timeout=DEADLINE_S)

    def kill_all(self) -> None:
        """End every program at the stranger's end at once, with what it has started."""
        for program in self._programs:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            program.wait(DEADLINE_S)
        self._programs.clear()

    # -- the stranger's side ------------------------------------------------------------------------------------------

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program at the stranger's end; it dies with the test. What it prints goes to the file `log`."""
        keeper = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self.folder / "log").open("ab") as log:
            program = subprocess.Popen(
                ["ip", "netns", "exec", self._stranger, *keeper, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._programs.append(program)
        return program

    @property
    def log(self) -> str:
        """What the programs have printed so far."""
        return (self.folder / "log").read_text(errors="replace")

    def add_address(self, address: str) -> None:
        run("ip", "-n", self._stranger, "address", "add", address, "dev", STRANGER)

    def use_address(self, address: str) -> None:
        """Let the stranger's kernel answer for an address on its `lo`, where no script flushes it."""
        run("ip", "-n", self._stranger, "link", "set", "lo", "up")
        run("ip", "-n", self._stranger, "address", "add", f"{address}/32", "dev", "lo")
        run("ip", "-n", self._stranger, "route", "add", f"{address}/24".rsplit(".", 1)[0] + ".0/24", "dev", STRANGER)

    def within_stranger(self, work: Callable[[], Result]) -> Result:
        """Do something at the stranger's end, which has a loopback interface then."""
        run("ip", "-n", self._stranger, "link", "set", "lo", "up")
        return within(self._stranger, work)

    @property
    def addresses(self) -> list[str]:
        """The stranger's IPv4 addresses, with prefix length."""
        (link,) = json.loads(run("ip", "-n", self._stranger, "-json", "-4", "address", "show", "dev", STRANGER)) or [{}]
        return [f"{entry['local']}/{entry['prefixlen']}" for entry in link.get("addr_info", [])]

    @property
    def mac(self) -> bytes:
        (link,) = json.loads(run("ip", "-n", self._stranger, "-json", "link", "show", "dev", STRANGER))
        return bytes.fromhex(link["address"].replace(":", ""))

    def wait_for_server(self) -> None:
        """Wait until a program at the stranger's end listens on UDP port 67."""
        deadline = time.monotonic() + DEADLINE_S
        while ":0043 " not in run("ip", "netns", "exec", self._stranger, "cat", "/proc/net/udp"):
            assert time.monotonic() < deadline, f"no server after {DEADLINE_S} s: {self.log}"
            assert all(program.poll() is None for program in self._programs), self.log
            time.sleep(0.02)


def within(namespace: str, work: Callable[[], Result]) -> Result:
    """Do something inside a namespace, in a thread that only lives for it: this process never leaves its own."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def enter_and_work() -> None:
        try:
            with Path("/run/netns", namespace).open() as file:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(file.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"setns to {namespace}")
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=enter_and_work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _open_packet_socket() -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.bind((PUMP, ETH_P_ALL))
    opened.setblocking(False)
    return opened


def _compute_checksums_in_software() -> None:
    """Switch the veth's checksum offload off: a frame that leaves the kernel must have them, as on a cable."""
    value: Any = array.array("I", [ETHTOOL_STXCSUM, 0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", STRANGER.encode(), value.buffer_info()[0]))
