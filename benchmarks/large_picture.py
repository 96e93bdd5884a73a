"""Memory and time of `detect` and `segment` on a PNG of 96 megapixels, by the minis.

    python -m benchmarks.large_picture [SIDE]

Each command runs in a process of its own; what is printed is that process's greatest resident set.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PHOTO = Path(__file__).parents[1] / "examples" / "photos" / "coffee.png"
SIDE = 9800
MEASURED = """
import resource, sys, time
from limner.cli import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"{used.ru_maxrss * 1024 / 1e9:.2f} GB, {used.ru_utime + used.ru_stime:.1f} s of processor")
sys.exit(code)
"""


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else SIDE
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "large.png"
        Image.open(PHOTO).convert("RGB").resize((side, side)).save(picture, compress_level=1)
        middle = f"{side // 3},{side // 3},{side // 2},{side // 2}"
        for words in (("detect", "--like", middle), ("segment", "--point", "50%,50%")):
            command = [words[0], str(picture), *words[1:], "--profile", "mini", "--no-store"]
            ran = subprocess.run(
                [sys.executable, "-c", MEASURED, *command, "--no-cache", "--overwrite"],
                cwd=folder,
                env={**os.environ, "LIMNER_HOME": folder},
                capture_output=True,
                text=True,
                check=True,
            )
            print(f"{side}x{side} {words[0]}: {ran.stdout.splitlines()[-1]}")


if __name__ == "__main__":
    main()
