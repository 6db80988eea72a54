"""`emu show` and `emu wireshark-profile`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from emu.cli.app import app

SCRIPT = """
def topology(net, count: int = 2):
    one, two = net.add_host("host1"), net.add_host("host2")
    tor = net.add_switch("tor")
    net.add_link(one, tor, rate="1Gbit", delay="50us")
    net.add_link(two, tor)
    shop = one.networks.create("shop", subnet="10.5.0.0/24", internal=True)
    web = one.containers.run("web", network=shop, mac_address="02:00:00:00:00:01")
    one.networks.get("bridge").connect(web)
    two.containers.run("alone", network="none")
    web.ping("10.5.0.1", count=count)
"""


def test_show_prints_hosts_networks_containers_links_tasks_and_parameters(tmp_path: Path) -> None:
    file = tmp_path / "demo.py"
    file.write_text(SCRIPT)
    done = CliRunner().invoke(app, ["show", str(file)])
    assert done.exit_code == 0, done.output
    lines = [line.strip("│├└─ ").rstrip() for line in done.output.splitlines()]
    assert lines[0] == "demo  engine 29, seed 0"
    assert "host host1  198.18.0.1/24" in lines
    assert any(
        line.startswith("network shop  bridge, 10.5.0.0/24, gateway 10.5.0.1, bridge br-") and line.endswith("internal")
        for line in lines
    )
    assert "container web  eth0  10.5.0.2/24  02:00:00:00:00:01" in lines
    assert any(line.startswith("container web  eth1  172.17.0.2/16") for line in lines)
    assert "container alone  none" in lines
    assert "switch tor" in lines
    assert "host1:eth0 -- tor:eth0  rate 1Gbit delay 50us, 198.18.0.0/24" in lines
    assert "web: ping 10.5.0.1" in lines
    assert "count: int = 2" in lines


def test_show_runs_nothing_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.py").write_text('def topology(net):\n    net.capture("x.pcapng")\n    net.host\n')
    assert CliRunner().invoke(app, ["show", "demo.py"]).exit_code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["demo.py"]


def test_a_mistake_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.py").write_text("def topology(net):\n    net.networks.get('x')\n")
    done = CliRunner().invoke(app, ["show", "demo.py"])
    assert (done.exit_code, done.output) == (2, "emu: demo.py:2: network x not found\n")


def test_the_wireshark_profile_is_installed_where_asked(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["wireshark-profile", "--dir", str(tmp_path / "mine")])
    assert done.exit_code == 0, done.output
    assert "wireshark -C mine FILE" in done.output
    assert {"colorfilters", "preferences"} <= {file.name for file in (tmp_path / "mine").iterdir()}


def test_a_changed_wireshark_profile_is_replaced_only_when_forced(tmp_path: Path) -> None:
    folder = tmp_path / "emu"
    arguments = ["wireshark-profile", "--dir", str(folder)]
    CliRunner().invoke(app, arguments)
    (folder / "colorfilters").write_text("mine")
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert (folder / "colorfilters").read_text() == "mine"
    assert CliRunner().invoke(app, [*arguments, "--force"]).exit_code == 0
    assert (folder / "colorfilters").read_text() != "mine"


LEASING = """
def topology(net):
    ipam = {"driver": "dhcp", "options": {"probe": "off", "lease_time": "infinite"}}
    lan = net.networks.create("lan", subnet="10.5.0.0/24", ipam=ipam)
    net.host.containers.run("web", network=lan, mac_address="02:00:00:00:00:01")
    net.capture("x.pcapng")
"""


def test_show_says_that_an_address_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "demo.py").write_text(LEASING)
    done = CliRunner().invoke(app, ["show", str(tmp_path / "demo.py")])
    lines = [line.strip("│├└─ ").rstrip() for line in done.output.splitlines()]
    assert any(line.startswith("network lan  bridge") and line.endswith("addresses by DHCP") for line in lines)
    assert "container web  eth0  waiting for a DHCP lease  02:00:00:00:00:01" in lines


def test_show_leases_runs_the_topology_and_shows_who_has_which_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.py").write_text(LEASING)
    done = CliRunner().invoke(app, ["show", "demo.py", "--leases"])
    (line,) = [line.split() for line in done.output.splitlines() if "web" in line]
    assert line[:6] == ["10.5.0.2", "web", "02:00:00:00:00:01", "bound", "for", "ever"]
    assert [file.name for file in tmp_path.iterdir()] == ["demo.py"]


def test_show_leases_can_be_stopped_early_and_until_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.py").write_text(LEASING)
    done = CliRunner().invoke(app, ["show", "demo.py", "--leases", "--until", "1us"])
    assert (done.exit_code, done.output) == (0, "no DHCP server has leased an address\n")
    done = CliRunner().invoke(app, ["show", "demo.py", "--until", "1us"])
    assert (done.exit_code, done.output) == (2, "emu: --until: nothing is run without --leases\n")


def test_what_the_script_says_of_itself_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "told.py"
    file.write_text('"""A lonely host.\n\nIt has nobody.\n"""\ndef topology(net):\n    net.add_host("h1")\n')
    output = CliRunner().invoke(app, ["show", str(file)]).output
    assert output.startswith("A lonely host.\n\nIt has nobody.\n\ntold  engine 29, seed 0\n")
