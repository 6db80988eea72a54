"""`emu show`: what a topology consists of, without running it."""

from __future__ import annotations

import typer

from emu.cli import options


def show(
    file: options.File,
    settings: options.Settings = None,
    seed: options.Seed = None,
    engine: options.Engine = None,
    leases: options.Leases = False,
    until: options.Until = None,
    traceback: options.Traceback = False,
) -> None:
    """Show what a topology script says of itself and builds: hosts, networks, containers, links, parameters.

    With --leases it is run, without captures and files, and what its DHCP servers have leased in the end is shown.
    """
    from emu.cli.run import report_failure
    from emu.description import describe
    from emu.kernel.errors import InvalidValue
    from emu.report.table import make_console, print_leases
    from emu.report.tree import print_description
    from emu.scenario.loader import load_topology
    from emu.scenario.parameters import parse_settings
    from emu.scenario.runner import RunOptions, build_topology

    try:
        if until is not None and not leases:
            raise InvalidValue("--until: nothing is run without --leases")
        run_options = RunOptions(seed=seed, until=until, engine=engine, settings=parse_settings(settings or ()))
        with load_topology(file) as topology:
            net = build_topology(topology, run_options)
            if leases:
                result = net.run()
                print_leases(result, make_console())
                if not result.leases:
                    print("no DHCP server has leased an address")
                return
            if topology.explanation:
                print(topology.explanation, end="\n\n")
            parameters = [parameter.describe() for parameter in topology.parameters]
            print_description(describe(net), parameters, make_console())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except Exception as error:
        raise typer.Exit(report_failure(error, None, traceback)) from None
