"""A Hugging Face hub on this machine: the endpoints that huggingface_hub uses to fetch a model.

A real HTTP server on the loopback, so that tests run the real client, with its retries, ranges
and error codes. Point ``HF_ENDPOINT`` at ``url``.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".ckpt")


@dataclass
class Repo:
    """A repository with one commit on ``main``; ``others`` are further revisions."""

    files: dict[str, bytes]
    gated: bool = False
    others: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """``(commit, files)`` of a branch, a tag or a commit."""
        for name, files in {"main": self.files, **self.others}.items():
            if revision in (name, commit_of(files)):
                return commit_of(files), files
        return None


def commit_of(files: dict[str, bytes]) -> str:
    """40 hex digits that change with the content, as git's do."""
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


class HubServer:
    """``with HubServer({"org/name": Repo({...})}) as hub: ...``

    Attributes:
        repos: may be changed while it runs: a deleted key is a repository gone from the hub.
        requests: ``(method, path, Range header)`` of every request so far.
        cut: path -> bytes after which the next answer's connection breaks, once.
        failing: paths whose GET answers 500.
        lies: path -> bytes sent instead of the listed ones.
        token: what a gated repository wants; None: nobody is admitted.
    """

    def __init__(self, repos: dict[str, Repo]) -> None:
        self.repos = repos
        self.requests: list[tuple[str, str, str | None]] = []
        self.cut: dict[str, int] = {}
        self.failing: set[str] = set()
        self.lies: dict[str, bytes] = {}
        self.token: str | None = None
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fetched(self) -> list[str]:
        """Paths of the files whose content was asked for, in order, with repeats."""
        return [
            path.split("/resolve/")[1].split("/", 1)[1]
            for method, path, _ in self.requests
            if method == "GET" and "/resolve/" in path
        ]

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_hub: HubServer

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, body: bool) -> None:
        hub = self.server_hub
        path = unquote(urlsplit(self.path).path)
        hub.requests.append((self.command, path, self.headers.get("Range")))
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._api("/".join(parts[2:4]), parts[4:])
        elif len(parts) > 4 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), body)
        else:
            self._refuse(404, "EntryNotFound")

    def _api(self, name: str, rest: list[str]) -> None:
        repo = self.server_hub.repos.get(name)
        if repo is None:
            return self._refuse(404, "RepoNotFound")
        found = repo.at("/".join(rest[1:]) or "main")
        if found is None:
            return self._refuse(404, "RevisionNotFound")
        commit, files = found
        if rest[:1] == ["tree"]:
            return self._json([_tree_entry(path, data) for path, data in files.items()])
        siblings = [_sibling(path, data) for path, data in files.items()]
        gated = "manual" if repo.gated else False
        return self._json({"id": name, "sha": commit, "siblings": siblings, "gated": gated})

    def _file(self, name: str, revision: str, path: str, body: bool) -> None:
        hub = self.server_hub
        repo = hub.repos.get(name)
        if repo is None:
            return self._refuse(404, "RepoNotFound")
        if repo.gated and self.headers.get("Authorization") != f"Bearer {hub.token}":
            known = "Authorization" in self.headers
            return self._refuse(403 if known else 401, "GatedRepo")
        found = repo.at(revision)
        if found is None or path not in found[1]:
            return self._refuse(404, "EntryNotFound" if found else "RevisionNotFound")
        if body and path in hub.failing:
            return self._refuse(500, "")
        commit, files = found
        data = hub.lies.get(path, files[path])
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{_etag(path, files[path])}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if not body:
            return None
        if (cut := hub.cut.pop(path, None)) is not None:
            self.wfile.write(data[start:cut])
            self.close_connection = True
            return None
        self.wfile.write(data[start:])
        return None

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _etag(path: str, data: bytes) -> str:
    if path.endswith(LFS_SUFFIXES):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sibling(path: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": _etag(path, data)}
    if path.endswith(LFS_SUFFIXES):
        sha = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"size": len(data), "sha256": sha, "pointerSize": 134}
    return entry


def _tree_entry(path: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data)}
    entry["oid"] = _etag(path, data)
    if path.endswith(LFS_SUFFIXES):
        sha = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {"oid": sha, "size": len(data), "pointerSize": 134}
    return entry
