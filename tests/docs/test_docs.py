"""The documentation is true: scripts run, output is real, links lead somewhere, the drawing is the house."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from emu.scenario.loader import load_topology
from emu.scenario.runner import RunOptions, run_topology
from tests.docs.examples import BLOCK, PAGES, REPOSITORY, blocks, commands, prepare, rewritten

scripts = [(page.name, index, text) for page in PAGES for index, text in enumerate(blocks(page, "python"))]
consoles = [page for page in PAGES if blocks(page, "console")]


@pytest.mark.parametrize(("page", "index", "text"), scripts, ids=[f"{page}-{index}" for page, index, _ in scripts])
def test_scripts_in_the_documentation_run_and_do_what_they_expect(
    page: str, index: int, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "example.py"
    path.write_text(text)
    with load_topology(path) as topology:
        result = run_topology(topology, RunOptions(folder=tmp_path / "out")).result
    assert result.ok, [entry.text for entry in result.expectations if not entry.met]
    assert result.expectations or page == "README.md"
    assert {task.state for task in result.tasks} == {"finished"}


@pytest.mark.parametrize("page", consoles, ids=lambda page: page.name)
def test_commands_in_the_documentation_print_what_it_says(page: Path, tmp_path: Path) -> None:
    """After a change of output: `python -m tests.docs.examples --update`, and look at the difference."""
    prepare(tmp_path)
    for block in blocks(page, "console"):
        if any(command.startswith("tshark") for command in commands(block)) and shutil.which("tshark") is None:
            continue
        assert block == rewritten(block, tmp_path)


def test_only_known_kinds_of_blocks_are_used() -> None:
    for page in PAGES:
        assert {language for language, _ in BLOCK.findall(page.read_text())} <= {"console", "python", "sh", "text"}


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#:]+)(?:#([^)]*))?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(page.parent / target), f"{page.name} links to {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index() -> None:
    index = (REPOSITORY / "docs" / "index.md").read_text()
    for page in (REPOSITORY / "docs").glob("*.md"):
        assert page.name == "index.md" or page.name in index, page.name


def test_every_topology_is_in_the_index() -> None:
    index = (REPOSITORY / "docs" / "index.md").read_text()
    for path in (REPOSITORY / "topologies").glob("*.py"):
        assert f"`{path.name}`" in index


def test_the_drawing_of_the_house_names_every_room() -> None:
    drawing = (REPOSITORY / "docs" / "architecture.md").read_text()
    rooms = {path.parent.name for path in (REPOSITORY / "emu").glob("*/__init__.py")}
    for room in rooms:
        assert f"emu/{room}/" in drawing, room
    for room in re.findall(r"emu/(\w+)/", drawing):
        assert room in rooms, room
    for room in re.findall(r"^          (\w+)/  (\w+)/", drawing, re.MULTILINE)[0]:
        assert (REPOSITORY / "emu" / "cnm" / room).is_dir()


def test_every_dependency_is_justified_and_nothing_else() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=]", dependency)[0] for dependency in project["dependencies"]}
    text = (REPOSITORY / "docs" / "design.md").read_text()
    table = text[text.index("## Dependencies") : text.index("For development:")]
    assert set(re.findall(r"^\| (\w+) \| ", table, re.MULTILINE)) - {"package"} == declared


def test_parameters_in_the_api_page_exist() -> None:
    import inspect

    import emu
    from emu.containers import HostContainers
    from emu.networks import HostNetworks

    page = (REPOSITORY / "docs" / "api.md").read_text()
    for call, function in (
        ("add_link", emu.Emulation.add_link),
        ("ping", emu.Container.ping),
        ("networks.create", HostNetworks.create),
        ("containers.run", HostContainers.run),
    ):
        (listed,) = set(re.findall(rf"`{call}\(([^`]*=[^`]*)\)`", page))
        names = set(re.findall(r"(\w+)=", listed))
        known = set(inspect.signature(function).parameters)
        assert names <= known, (call, names - known)
