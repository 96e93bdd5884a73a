"""A vision-language model on a server with OpenAI's protocol: hosted, vLLM, llama.cpp, Ollama.

Spoken through the ``openai`` client, which asks a busy server again, with back-off and as long as
the server says. The key is read when it is needed and lies in the client alone; it stands in no
error, no record and no log, nor does what a server repeats of it (``server_replies``).
"""

from __future__ import annotations

import base64
import io
import os
import weakref
from collections.abc import Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from limner.errors import LimnerError, MissingExtra, NoAnswer
from limner.models.vlm.detector import VisionLanguageModel
from limner.models.vlm.parser import Unreadable
from limner.options import EndpointOptions, from_dict
from limner.protocols import Say
from limner.registry import endpoints
from limner.registry.server_replies import ReplyRefused, Scrubber, bounded, is_loopback
from limner.registry.weights import Runtime, Weights

KEYRING = "limner"
"""The keyring's service; its user is what ``key_env`` names."""
WARM = 0.7
"""Temperature of several samples; one is asked for at 0."""
NO_KEY = "none"
"""What is sent where there is no key: the client wants one, and such servers ignore it."""
FORMS = ("json_schema", "json_object", "text")
"""Ways to ask for JSON, strictest first."""


def load(weights: Weights, runtime: Runtime) -> VisionLanguageModel:
    """The model of an endpoint. Nothing is sent yet.

    Raises:
        MissingExtra: the openai client isn't installed.
        NoAnswer: the key that the endpoint names isn't there.
    """
    options = from_dict(EndpointOptions, weights.defaults)
    return VisionLanguageModel(
        weights.ref,
        Endpoint(weights.ref.name, options),
        endpoints.vlm_format(options),
        max_side=options.max_side,
        samples=options.samples,
        phrases_at_once=options.phrases_at_once,
    )


def key_of(name: str, options: EndpointOptions) -> str | None:
    """The key, from the environment or else the keyring; None: the endpoint names none.

    Raises:
        NoAnswer: it is in neither.
    """
    if options.key_env is None:
        return None
    if key := os.environ.get(options.key_env, "").strip():
        return key
    try:
        import keyring

        if key := keyring.get_password(KEYRING, options.key_env):
            return str(key)
        where = f"and the keyring has no entry {options.key_env} of the service {KEYRING}"
    except ImportError:
        where = "and the package keyring isn't installed"
    except Exception:  # a keyring has errors of its own for each system
        where = "and the keyring can't be read"
    raise NoAnswer(f"{name} needs a key: the variable {options.key_env} is empty, {where}.")


class Budget:
    """What one command or session may cost. Threads may share it."""

    def __init__(self, name: str, calls: int | None, tokens: int | None) -> None:
        self._name = name
        self._most = {"max_calls": calls, "max_tokens": tokens}
        self._spent = {"max_calls": 0, "max_tokens": 0}
        self._lock = Lock()

    @property
    def calls_left(self) -> int | None:
        most = self._most["max_calls"]
        return None if most is None else max(0, most - self._spent["max_calls"])

    def check(self) -> None:
        """Refuse to ask when nothing is left.

        Raises:
            NoAnswer: with what was spent.
        """
        for what, most in self._most.items():
            if most is not None and self._spent[what] >= most:
                raise NoAnswer(
                    f"{self._name} may cost no more: {what} is {most}, and {self._spent[what]} "
                    f"are spent. Raise it in {endpoints.file()}, or ask for less."
                )

    def called(self, *_: Any) -> None:
        with self._lock:
            self._spent["max_calls"] += 1

    def used(self, tokens: int | None) -> None:
        if not isinstance(tokens, int):
            if self._most["max_tokens"] is not None:
                raise NoAnswer(
                    f"{self._name} doesn't say how many tokens an answer took, so max_tokens "
                    "can't be kept: set max_calls instead."
                )
            return
        with self._lock:
            self._spent["max_tokens"] += tokens


class Endpoint:
    """A ``ChatBackend``. ``say`` hears, once each, what the server had to be asked without."""

    def __init__(self, name: str, options: EndpointOptions) -> None:
        try:
            import openai
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"{name} needs the package openai: pip install 'limner[vlm]'."
            ) from error
        self.say: Say = lambda sentence: None
        self._name = name
        self._options = options
        self._budget = Budget(name, options.max_calls, options.max_tokens)
        self._key = key_of(name, options)
        self._scrub = Scrubber(self._key)
        self._detail = {"detail": "high"} if endpoints.vlm_format(options).fit == "openai" else {}
        self._forms = list(FORMS)
        self._unwanted: set[str] = set()
        self._openai = openai
        self._client = openai.OpenAI(
            base_url=options.url,
            api_key=self._key or NO_KEY,
            timeout=options.timeout,
            max_retries=options.retries,
            default_headers={
                **_only_ours(openai.Omit(), f"Bearer {self._key or NO_KEY}"),
                "Accept-Encoding": "identity",
            },
            http_client=openai.DefaultHttpxClient(
                follow_redirects=False,  # a picture goes where the user said and nowhere else
                event_hooks={
                    "request": [self._budget.called],
                    "response": [bounded(seconds=options.timeout)],
                },
                mounts=_past_proxies(options.url),
            ),
        )
        weakref.finalize(self, self._client.close)  # its connections go when the model goes

    def show(self, picture: Image.Image) -> dict[str, Any]:
        """A PNG as the part of a message: nothing is lost on the way."""
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        return {"type": "image_url", "image_url": {"url": url, **self._detail}}

    def ask(
        self,
        shown: dict[str, Any],
        words: str,
        form: Mapping[str, Any],
        draw: int | None,
    ) -> str:
        """See ``ChatBackend``."""
        content = [shown, {"type": "text", "text": words}]
        answer = self._send([{"role": "user", "content": content}], form, draw)
        choices: Any = getattr(answer, "choices", None)
        is_answer = isinstance(choices, list) and bool(choices)
        message: Any = getattr(choices[0], "message", None) if is_answer else None
        if not hasattr(message, "content"):
            raise NoAnswer(
                f"{self._place} answered with something that is no chat completion"
                f"{_like(answer)}: check that url is where the API begins, mostly …/v1."
            )
        self._budget.used(getattr(getattr(answer, "usage", None), "total_tokens", None))
        if refusal := getattr(message, "refusal", None):
            raise NoAnswer(f"{self._place} declines: {self._scrubbed(str(refusal))}.")
        if getattr(choices[0], "finish_reason", None) == "length":
            raise Unreadable(
                f"it was cut off after {self._options.answer_tokens} tokens (answer_tokens)"
            )
        return self._scrub(str(message.content or ""))

    @property
    def _place(self) -> str:
        return f"{self._name} ({urlsplit(self._options.url).netloc})"

    @property
    def _times(self) -> str:
        tries = int(self._client.max_retries) + 1
        return "once" if tries == 1 else f"{tries} times"

    def _send(self, messages: list[Any], form: Mapping[str, Any], draw: int | None) -> Any:
        """The server's answer; what it refuses to be told is left out, and said."""
        while True:
            self._budget.check()
            left = self._budget.calls_left
            if left is not None:
                self._client.max_retries = min(self._options.retries, left - 1)
            try:
                return self._client.chat.completions.create(
                    model=self._options.model, messages=messages, **self._settings(form, draw)
                )
            except (self._openai.BadRequestError, self._openai.UnprocessableEntityError) as error:
                if not self._do_without(error):
                    raise self._explained(error) from None
            except (self._openai.OpenAIError, ReplyRefused, ValueError) as error:
                raise self._explained(error) from None

    def _settings(self, form: Mapping[str, Any], draw: int | None) -> dict[str, Any]:
        warm = self._options.temperature
        if warm is None:
            warm = 0.0 if draw is None else WARM
        limit = "max_tokens" if "max_tokens" not in self._unwanted else "max_completion_tokens"
        settings: dict[str, Any] = {limit: self._options.answer_tokens}
        if "temperature" not in self._unwanted:
            settings["temperature"] = warm
        if self._forms[0] == "json_schema":
            schema = {"name": "boxes", "strict": True, "schema": form}
            settings["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif self._forms[0] == "json_object":
            settings["response_format"] = {"type": "json_object"}
        return settings

    def _do_without(self, error: Any) -> bool:
        """Leave out what a 400 complains of; False: there is nothing that could be left out."""
        complaint = f"{getattr(error, 'param', None) or ''} {error.message}".lower()
        for name in ("temperature", "max_tokens"):
            if name in complaint and name not in self._unwanted:
                self._unwanted.add(name)
                if name == "temperature":
                    self.say(f"{self._place} takes no temperature: its own is used.")
                return True
        if any(word in complaint for word in ("image", "context", "too long", "too large")):
            return False  # not the form's fault
        if len(self._forms) == 1:
            return False
        refused = self._forms.pop(0)
        self.say(f"{self._place} refuses {refused}: asked with {self._forms[0]} instead.")
        return True

    # ---- what went wrong, in a sentence

    def _explained(self, error: Exception) -> LimnerError:
        openai, options = self._openai, self._options
        if isinstance(error, openai.APITimeoutError):
            why = (
                f"didn't answer within {options.timeout:g} s, asked {self._times}: "
                "raise timeout, or take a smaller max_side"
            )
        elif isinstance(error, ReplyRefused):
            why = str(error)
        elif isinstance(error, openai.APIConnectionError):
            why = self._unreached(error.__cause__)
        elif isinstance(error, openai.APIStatusError):
            why = self._refused(error)
        elif isinstance(error, ValueError):
            why = "answered with something that isn't JSON: check that url is where the API begins"
        else:
            why = f"can't be spoken to: {self._scrubbed(str(error))}"
        return NoAnswer(f"{self._place} {why}.")

    def _unreached(self, cause: BaseException | None) -> str:
        if type(cause).__name__ in ("RemoteProtocolError", "ReadError"):
            return "closed the connection before its answer was whole"
        reason = self._scrubbed(str(cause or "no connection"))
        return f"can't be reached ({reason}): is the server running at {self._options.url}?"

    def _refused(self, error: Any) -> str:
        options, status = self._options, error.status_code
        if status in (401, 403):
            if options.key_env:
                return f"refuses the key in {options.key_env} (HTTP {status})"
            return (
                f"wants a key (HTTP {status}): put it into a variable and name that in key_env, "
                f"or into {endpoints.KEY} if the address came from {endpoints.URL}"
            )
        if status == 404:
            return (
                f"has no model {options.model}, or its API doesn't begin at {options.url} "
                "(HTTP 404)"
            )
        if status == 429:
            wait = error.response.headers.get("retry-after")
            request = f" and asks to wait {self._scrubbed(wait)} s" if wait else ""
            return f"is asked too often, or its quota is spent{request} (HTTP 429)"
        if status >= 500:
            return f"fails (HTTP {status}), asked {self._times}"
        if 300 <= status < 400:
            return f"sends elsewhere (HTTP {status}), where no picture is sent: correct url"
        return f"refuses the question (HTTP {status}): {self._scrubbed(_message(error))}"

    def _scrubbed(self, text: str) -> str:
        """One short line, in which the key can't stand."""
        return self._scrub(" ".join(text.split()).rstrip("."))[:200]


def _past_proxies(url: str) -> dict[str, None]:
    """What keeps the environment's proxies, which are honoured otherwise, from a server here."""
    host = urlsplit(url).hostname
    written = f"[{host}]" if host and ":" in host else host
    return {f"all://{written}": None} if is_loopback(host) else {}


def _only_ours(omit: Any, bearer: str) -> dict[str, Any]:
    """Headers that keep out what the environment says for another service (``OPENAI_ORG_ID``, ...).

    The client would send it to whatever server it is told to ask.
    """
    ambient = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    names = [line.partition(":")[0].strip() for line in ambient]
    kept_out = ["OpenAI-Organization", "OpenAI-Project", *filter(None, names)]
    return {name: bearer if name.lower() == "authorization" else omit for name in kept_out}


def _message(error: Any) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return str(error.message)


def _like(answer: Any) -> str:
    text = answer if isinstance(answer, str) else ""
    return " but a web page" if text.lstrip()[:1] == "<" else ""
