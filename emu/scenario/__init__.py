"""What to run: topology scripts, their parameters, and running them into a folder of results.

Nothing here knows how packets move; an `Emulation` is built by calling the script's `topology` function.
"""
