"""The command line as tests call it: the real entry point, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from limner.cli import main


@dataclass(frozen=True)
class Answer:
    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Command:
    """``limner("verb", …)`` must succeed; ``limner.run`` takes any exit code."""

    read: Callable[[], Any]

    def run(self, *words: object) -> Answer:
        code = main([str(word) for word in words])
        said = self.read()
        assert "Traceback" not in said.err
        return Answer(code, said.out, said.err)

    def __call__(self, *words: object) -> Answer:
        answer = self.run(*words)
        assert answer.code == 0, answer.stderr
        return answer

    def json(self, *words: object) -> Any:
        """The one JSON object that ``--json`` prints."""
        return json.loads(self(*words, "--json").stdout)
