"""A run that is killed is finished by running it again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.io.save import read_record

COUNT = 20


@pytest.mark.slow
def test_kill_9_during_a_folder_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, astronaut: Path
) -> None:
    """Killed three times at different moments: each time the finished ones stay as they are, and in
    the end all 20 are there and whole."""
    (tmp_path / "in").mkdir()
    photo = Image.open(astronaut).convert("RGB")
    for k in range(COUNT):
        photo.crop((340 + k, 0, 460 + k, 120)).save(tmp_path / "in" / f"{k:02}.png")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "limner", "remove", "in", "--box", "40,20,90,90", "-o", "out"]
    environment = {**os.environ, "LIMNER_HOME": str(tmp_path / "home")}
    finished: dict[Path, int] = {}
    for wanted in (1, 6, 12):
        run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        while run.poll() is None and len(list(out.glob("*.png"))) < wanted:
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.wait()
        for path, stamp in finished.items():
            assert path.stat().st_mtime_ns == stamp, f"{path.name} was done twice"
        finished = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
        assert len(finished) >= wanted
        for path in finished:
            assert np.asarray(Image.open(path)).shape == (120, 120, 3), "whole, not half-written"
    last = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert f"{len(finished)} done already" in last.stdout
    assert {path.name for path in out.glob("*.png")} == {f"{k:02}-remove.png" for k in range(COUNT)}
    for path, stamp in finished.items():
        assert path.stat().st_mtime_ns == stamp
    jobs = {(read_record(path) or {})["job"] for path in out.glob("*.png")}
    assert len(jobs) == COUNT, "each carries the record of its own input"
