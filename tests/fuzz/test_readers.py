"""No file of a stranger's ends in a traceback, takes the machine's memory or never ends."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz import harness
from tests.fuzz.harness import Target
from tests.fuzz.targets import TARGETS

FEW, MANY = 20, 200


def check(target: Target, cases: range, folder: Path) -> Counter[int]:
    outcomes, ended = harness.run(target, cases, folder)
    assert ended is None, f"{ended}\n{(folder / 'output').read_text(errors='replace')[-3000:]}"
    assert outcomes[0].code in (0, 100), f"sound files: {outcomes[0]}"
    problems = [problem for one in outcomes if (problem := harness.wrong(target, one))]
    assert not problems, "\n\n".join(problems)
    assert len(outcomes) == len(cases) + 1
    return Counter(outcome.code for outcome in outcomes[1:])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_reader(target: Target, tmp_path: Path) -> None:
    check(target, harness.cases_of(target, FEW), tmp_path / "fuzz")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_reader_at_length(target: Target, tmp_path: Path) -> None:
    """With ``TARGETS`` as they are, more than 2,000 spoilt files go through the real commands."""
    codes = check(target, harness.cases_of(target, MANY), tmp_path / "fuzz")
    assert codes[2], "something was spoilt"
    assert sum(len(harness.cases_of(each, MANY)) for each in TARGETS) >= 2000


def test_the_limits_hold(tmp_path: Path) -> None:
    """Memory, the processor's time and a crash each end the child, and the case is named."""

    def target(act: str) -> Target:
        def before(folder: Path) -> None:
            if (folder / "a").read_bytes() != b"0123456789abcdef":
                exec(act, {})

        return Target(
            act, lambda f: (f / "a").write_bytes(b"0123456789abcdef"), ["a"], ["--version"], before
        )

    for number, (act, how) in enumerate(
        {
            "bytearray(30_000_000_000)": "status 1",
            "import os, signal; os.kill(os.getpid(), signal.SIGPROF)": "signal 27",
            "import os; os.abort()": "signal 6",
        }.items()
    ):
        outcomes, ended = harness.run(target(act), range(3), tmp_path / str(number))
        assert [outcome.case for outcome in outcomes] == [-1]
        assert ended
        assert ended.endswith(f"0: the process ended with {how}")
