"""The documentation site is the repository's own pages: none is missing, and no link is lost.

``make site`` builds it (CI does); here its pages are laid out, and its checks attacked.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import limner

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    """One of ``docs/*.py``."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "docs"))


site_pages, site_check = script("site_pages"), script("site_check")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty one: a README and a folder docs."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Start\n")
    return tmp_path


def test_every_page_of_the_repository_is_laid_out_with_what_it_links_to(tmp_path: Path) -> None:
    """A page that isn't found, or a link that would lead nowhere, is a hole in the site."""
    pages = site_pages.Pages(ROOT)
    pages.write(tmp_path)
    documents = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert documents | {"README.md", "CHANGELOG.md", "examples/README.md"} <= set(pages.pages)
    links = 0
    for page in tmp_path.rglob("*.md"):
        for target in re.findall(r"\]\(([^()\s#]+)[^()\s]*\)", page.read_text()):
            if page.relative_to(tmp_path).as_posix() in documents and ":" not in target:
                assert Path(os.path.normpath(page.parent / target)).is_file(), (page, target)
                links += 1
    assert links >= 10


def test_a_page_names_no_file_that_moved_away() -> None:
    """`registry/hub.py` is a promise to who looks for it; what happened once keeps its names."""
    history = {"CHANGELOG.md", "docs/log.md"}
    roots = [ROOT, ROOT / "src", ROOT / "src" / "limner"]
    named = 0
    for name in set(site_pages.Pages(ROOT).pages) - history:
        page = ROOT / name
        for path in re.findall(r"`([\w./]+/\w+\.py)`", page.read_text() if page.exists() else ""):
            places = [root / path for root in (*roots, page.parent)]
            assert any(place.exists() for place in places), (name, path)
            named += 1
    assert named > 10


def test_every_page_stands_once_in_the_navigation() -> None:
    pages = site_pages.Pages(ROOT)
    names = [name for _, section in pages.sections() for name in section]
    assert sorted(names) == sorted(set(pages.pages) - {"README.md"} | {site_pages.REFERENCE})


def test_a_new_decision_stands_among_the_decisions(repository: Path) -> None:
    """By its place alone: nobody has to name it."""
    (repository / "docs" / "decisions").mkdir()
    for name in ("002-second.md", "001-first.md"):
        (repository / "docs" / "decisions" / name).write_text("# It\n")
    sections = dict(site_pages.Pages(repository).sections())
    assert sections["Decisions"] == ["docs/decisions/001-first.md", "docs/decisions/002-second.md"]


@pytest.mark.parametrize(
    "target", ["missing.md", "../outside.md", "docs", "docs/missing.png"], ids=str
)
def test_a_link_that_leads_nowhere_stops_the_site(repository: Path, target: str) -> None:
    """By the page and the line to mend, before anything is built."""
    (repository.parent / "outside.md").write_text("# Not of the repository\n")
    (repository / "README.md").write_text(f"# Start\n\n[a link]({target})\n")
    with pytest.raises(site_pages.PageError, match=r"README\.md:3: .*" + re.escape(target)):
        site_pages.Pages(repository)


def test_a_source_file_becomes_a_page_and_code_stays_as_it_is(repository: Path) -> None:
    """The repository's link to a script works on the site too; words in code are no links."""
    (repository / "tool.py").write_text("print('[no link](nowhere.md)')\n")
    (repository / "README.md").write_text(
        "# Start\n\n[`tool`](tool.py) and `[code](nowhere.md)`\n\n"
        "```sh network\nls [code](nowhere.md)\n```\n"
    )
    pages = site_pages.Pages(repository).pages
    assert "[`tool`](tool.py.md) and `[code](nowhere.md)`" in pages["README.md"]
    assert "```sh\nls [code](nowhere.md)\n```" in pages["README.md"], "words of tests are dropped"
    assert "````python\nprint('[no link](nowhere.md)')\n````" in pages["tool.py.md"]


def test_the_reference_has_every_public_name() -> None:
    names = re.findall(r"^::: limner\.(\w+)$", site_pages.reference_page(), re.MULTILINE)
    assert sorted(names) == sorted(set(limner.__all__) - {"__version__"})


@pytest.mark.parametrize(
    ("html", "sentence"),
    [
        ("<a href='page.html#here'>", None),
        ("<a href='https://example.org/'>", None),
        ("<a href='mailto:a@example.org'><img src='data:image/png;base64,AA'>", None),
        ("<a href='/page.html'>", None),
        ("<a href='absent.html'>", "isn't there"),
        ("<a href='page.html#absent'>", "no such heading"),
        ("<a href='#absent'>", "no such heading"),
        ("<img src='absent.png'>", "isn't there"),
        ("<script src='https://cdn.example.org/a.js'></script>", "loads https://cdn"),
        ("<script src='//cdn.example.org/a.js'></script>", "loads //cdn"),
        ("<link rel='stylesheet' href='HTTPS://fonts.example.org/a'>", "loads HTTPS://fonts"),
        ("<p style='background: url(https://example.org/a.png)'>", "loads https://example"),
    ],
)
def test_the_check_of_the_built_site(tmp_path: Path, html: str, sentence: str | None) -> None:
    """It finds dead ends and whatever a browser would fetch from elsewhere, and nothing else."""
    (tmp_path / "index.html").write_text(html)
    (tmp_path / "page.html").write_text("<h2 id='here'>")
    lines = list(site_check.problems(tmp_path))
    assert len(lines) == (sentence is not None), lines
    assert sentence is None or sentence in lines[0]


def test_the_check_reads_style_sheets_and_refuses_an_empty_site(tmp_path: Path) -> None:
    assert "holds no page" in next(site_check.problems(tmp_path))
    (tmp_path / "index.html").write_text("<p>")
    (tmp_path / "a.css").write_text("@import 'https://example.org/b.css'; a {b: url(c.png)}")
    assert list(site_check.problems(tmp_path)) == ["a.css loads https://example.org/b.css"]
