"""How a server of vision-language models is asked: ``EndpointOptions``."""

from __future__ import annotations

from dataclasses import dataclass

from limner.options.base import Checked, setting


@dataclass(frozen=True)
class EndpointOptions(Checked):
    """A server with a vision-language model: a table of ``endpoints.toml``."""

    url: str = setting("", "Where the server's API begins: http://127.0.0.1:8000/v1.")
    model: str = setting("", "The model's name there.")
    convention: str | None = setting(
        None,
        "How it writes boxes, a name in limner.ops.box_formats (default: by the model's name).",
    )
    fit: str | None = setting(
        None, "How pictures are sized for it, a name in docs/vlm.md (default: by its name)."
    )
    max_side: int | None = setting(None, "Longest side of a picture that is sent.", low=28)
    key_env: str | None = setting(
        None, "The environment variable, or the keyring's entry, that holds the key."
    )
    samples: int = setting(1, "How often each question is asked.", low=1, high=100)
    temperature: float | None = setting(
        None, "Default: 0 for one sample, 0.7 for several.", low=0.0, high=2.0
    )
    phrases_at_once: int = setting(8, "Phrases in one question.", low=1, high=1000)
    timeout: float = setting(120.0, "Seconds to wait for an answer.", low=0.01)
    retries: int = setting(
        3, "How often a busy or unreachable server is asked again.", low=0, high=20
    )
    answer_tokens: int = setting(2048, "Tokens of one answer at most.", low=16)
    max_calls: int | None = setting(None, "Requests of one command or session at most.", low=1)
    max_tokens: int | None = setting(None, "Tokens of one command or session at most.", low=1)
    licence: str | None = setting(None, "The model's licence, or the service's terms.")
    commercial: str | None = setting(
        None, "Whether it allows commercial use.", choices=("yes", "no", "restricted")
    )
