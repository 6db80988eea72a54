"""`python -m benchmarks.calibrate --json FILE`: measure packet costs with network namespaces.

Needs root, gcc, iproute2 and ping. It touches nothing outside the namespaces that it makes, `emucal<process id>-...`,
and removes them at the end; if it is killed, `ip netns list` shows them and `ip netns del` removes them.
`--compare FILE` shows what emu predicts beside what is in a results file, and needs no root.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.calibrate.measure import measure_all
from benchmarks.calibrate.namespaces import CalibrationError


def main() -> int:
    """Measure and write the results; exit code 2 when it cannot be done here."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibrate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="measure nothing: compare results with emu")
    options = parser.parse_args()
    if options.compare is not None:
        from benchmarks.calibrate.predict import comparison

        print(comparison(json.loads(options.compare.read_text(encoding="utf-8"))))
        return 0
    try:
        if os.geteuid():
            raise CalibrationError("only root can make network namespaces")
        with tempfile.TemporaryDirectory() as folder:
            results = measure_all(Path(folder), options.rounds, lambda text: print(text, file=sys.stderr, flush=True))
    except CalibrationError as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    text = json.dumps(results, indent=2) + "\n"
    if options.json is None:
        print(text, end="")
    else:
        options.json.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
