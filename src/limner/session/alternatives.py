"""Which other models could: what a refusal names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from limner.prompts import PromptKind
from limner.registry import catalog


@dataclass(frozen=True)
class Alternatives:
    """Models for a session of a profile; a commercial-safe one names those it would not refuse."""

    profile: str
    commercial_safe: bool = False

    def able(self, kinds: Iterable[PromptKind], task: str) -> str:
        """A sentence naming the models that do a task and take all these kinds of prompt; empty
        when there is none."""
        kinds = tuple(kinds)
        names = self._names(kinds, task)
        profiles = self.profiles(kinds, task)
        if not names:
            return ""
        return f"Models that can: {', '.join(names)}" + (f"; or {profiles}." if profiles else ".")

    def profiles(self, kinds: Collection[PromptKind], task: str) -> str:
        """Other profiles than the session's whose model can, as flags; empty when there is none."""
        names, here = self._names(kinds, task), catalog.offline(task)
        flags = [
            f"--profile {name}" + (" (nothing to fetch)" if models[task] in here else "")
            for name, models in catalog.profiles().items()
            if name != self.profile and models.get(task) in names
        ]
        return " or ".join(filter(None, [", ".join(flags[:-1]), *flags[-1:]]))

    def painters(self) -> str:
        """What to take to paint from words."""
        words = [PromptKind.TEXT], "inpaint"
        return self.profiles(*words) or f"one of {', '.join(self._names(*words))}"

    def _names(self, kinds: Collection[PromptKind], task: str) -> list[str]:
        return [
            name
            for name in catalog.names(task)
            if all(name in catalog.able(kind, task=task) for kind in kinds)
            and (not self.commercial_safe or name in catalog.commercial(task))
        ]
