"""Servers with vision-language models, as a person names them: ``vlm:kitchen``, ``vlm:qwen2.5vl``.

A name is a table of ``$LIMNER_HOME/endpoints.toml``, or the name of a model on the server whose URL
stands in ``LIMNER_VLM_URL``. Nothing else sends a picture anywhere: a key in the environment, such
as ``OPENAI_API_KEY``, is no address.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from limner.errors import FileError, FileMissing, ModelError, OptionError, UnknownModel
from limner.options import EndpointOptions, from_dict
from limner.registry.catalog import ModelEntry
from limner.registry.lock import home
from limner.registry.vlm_formats import VlmFormat, vlm_format_of
from limner.untrusted.json_toml import read_toml

PREFIX = "vlm:"
FAMILY = "vlm"
URL, KEY = "LIMNER_VLM_URL", "LIMNER_VLM_KEY"
"""Environment variables: where models that endpoints.toml doesn't name are, and the key there."""

DECIDES = ("url", "model", "max_side", "samples", "temperature", "phrases_at_once")
"""Fields that decide an answer, besides convention and fit."""


def file() -> Path:
    """Where endpoints are named."""
    return home() / "endpoints.toml"


def endpoint(name: str) -> EndpointOptions:
    """The endpoint meant by a name, with or without ``vlm:``.

    Raises:
        UnknownModel: no such endpoint, and no server was named to ask for such a model.
        OptionError: a table that can't be meant.
        ModelError: a file that can't be read.
    """
    name = name.removeprefix(PREFIX)
    tables = _tables()
    if name in tables:
        return _read(name, tables[name])
    url = os.environ.get(URL, "").strip()
    if name and url:
        key_env = KEY if os.environ.get(KEY) else None
        return _checked(URL, EndpointOptions(url=url, model=name, key_env=key_env))
    known_names = ", ".join(PREFIX + known for known in tables) or "none yet"
    raise UnknownModel(
        f"There is no endpoint {name!r}. {file()} names {known_names}; or set {URL} to the "
        f"address of a server, such as http://127.0.0.1:8000/v1, to ask its model of that name."
    )


def vlm_format(options: EndpointOptions) -> VlmFormat:
    """How the model behind an endpoint writes boxes."""
    return vlm_format_of(options.model, options.convention, options.fit)


def entry(name: str) -> ModelEntry:
    """An endpoint in the form of the catalog's models; ``defaults`` are its settings.

    Raises: see ``endpoint``.
    """
    options = endpoint(name)
    host = urlsplit(options.url).netloc
    return ModelEntry(
        name=PREFIX + name.removeprefix(PREFIX),
        description=f"{options.model} on {host}: boxes from whole sentences",
        task="detect",
        family=FAMILY,
        licence=options.licence or "unknown (endpoint)",
        commercial=options.commercial or "no",
        limits=""
        if options.commercial
        else f"nobody said that it may; if it may, set licence and commercial for it in {file()}",
        size_mb=0,
        size_from="nothing to download",
        defaults={name: value for name, value in asdict(options).items() if value is not None},
    )


def identity(name: str) -> str:
    """Text that changes when another model, or another way of asking, would answer."""
    options = endpoint(name)
    answers_in = vlm_format(options)
    settings = {field: getattr(options, field) for field in DECIDES}
    settings |= {"convention": answers_in.convention.name, "fit": answers_in.fit}
    text = " ".join(f"{field}={value}" for field, value in settings.items() if value is not None)
    return f"{PREFIX}{name.removeprefix(PREFIX)} {text}"


def _tables() -> dict[str, Any]:
    try:
        return read_toml(file())
    except FileMissing:
        return {}
    except FileError as error:
        raise ModelError(str(error)) from None


def _read(name: str, table: Any) -> EndpointOptions:
    where = f"[{name}] in {file()}"
    if not isinstance(table, dict):
        raise OptionError(f"{where} must be a table of settings.")
    # Never repeated: somebody may have written the key itself into it.
    if unknown := sorted(set(table) - {spec.name for spec in fields(EndpointOptions)}):
        raise OptionError(
            f"{where} has {', '.join(unknown)}; known are "
            f"{', '.join(spec.name for spec in fields(EndpointOptions))}. A key never stands in "
            "the file: key_env names the variable that holds it."
        )
    try:
        options = from_dict(EndpointOptions, table)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from None
    return _checked(where, options)


def _checked(where: str, options: EndpointOptions) -> EndpointOptions:
    """Refuse an address or a format of boxes that can't be meant, before anything is sent."""
    try:
        parts = urlsplit(options.url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise OptionError(
            f"{where}: url is where a server's API begins, such as http://127.0.0.1:8000/v1."
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise OptionError(
            f"{where}: url holds a user, a password or a query, which would end up in records; "
            "put the key into a variable and name it in key_env."
        )
    if parts.scheme == "http" and options.key_env and not _near(host):
        raise OptionError(
            f"{where}: the key would travel readable to {host}: use https, or no key."
        )
    if not options.model:
        raise OptionError(f"{where}: model is missing: the name the server knows it by.")
    try:
        vlm_format(options)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from None
    return replace(options, url=options.url.rstrip("/"))


def _near(host: str) -> bool:
    """This machine or the network around it."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan"))
