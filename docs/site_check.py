"""Checks a built site: every link leads somewhere, and nothing comes from elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself, as against what a reader follows.
LOADS = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "link": ("href",),
}
_ELSEWHERE = re.compile(r"^(https?:)?//", re.IGNORECASE)
_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", re.IGNORECASE)


class _Page(HTMLParser):
    """What a page loads, links to, and can be linked to by."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.loads += [values[name] for name in LOADS.get(tag, ()) if name in values]
        self.loads += [a or b for a, b in _STYLE.findall(values.get("style", ""))]


def read(path: Path) -> _Page:
    """One page of the site."""
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def problems(site: Path) -> Iterator[str]:
    """A sentence for each link without an end and each load from another host, if any."""
    site = site.resolve()
    pages = {path: read(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} holds no page"
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        for target in page.loads:
            if _ELSEWHERE.match(target):
                yield f"{name} loads {target}: everything is to lie in the site itself"
        for target in {*page.loads, *page.links}:
            if not urlsplit(target).scheme and not target.startswith("//"):
                yield from _dead_end(site, path, target, pages)
    for path in sorted(site.rglob("*.css")):
        for match in _STYLE.findall(path.read_text(encoding="utf-8")):
            if _ELSEWHERE.match(match[0] or match[1]):
                yield f"{path.relative_to(site).as_posix()} loads {match[0] or match[1]}"


def _dead_end(site: Path, path: Path, target: str, pages: dict[Path, _Page]) -> Iterator[str]:
    parts = urlsplit(target)
    base = site if parts.path.startswith("/") else path.parent
    file = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    file = file / "index.html" if file.is_dir() else file
    place = f"{path.relative_to(site).as_posix()} links to {target}"
    if not file.exists():
        yield f"{place}, which isn't there"
    elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
        yield f"{place}: that page has no such heading"


def check(site: Path) -> None:
    """Raise ``SystemExit`` with the problems, one a line, where there are any."""
    if lines := list(problems(site)):
        raise SystemExit("\n".join(lines))


if __name__ == "__main__":
    check(Path(sys.argv[1]))
