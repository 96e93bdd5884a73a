"""How long ``limner --help`` takes, beside an interpreter that does nothing. Bar: under 0.3 s.

Each is run in turn, in a process of its own; medians. The rival is ``python -c pass``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import limner": ["-c", "import limner"],
    "limner --help": ["-m", "limner", "--help"],
    "limner segment --help": ["-m", "limner", "segment", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs: int = parser.parse_args().runs
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, words in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    floor = statistics.median(seconds["python -c pass"])
    print(f"{'command':24} {'median s':>9} {'ratio':>7}")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:24} {median:9.3f} {median / floor:7.1f}")


if __name__ == "__main__":
    main()
