"""Lays the repository's pages out for the documentation site and builds it: ``make site``.

The site has the repository's own tree (``README.md``, ``docs/``, ``examples/``, …), so that a
relative link means the same here and there. What a page links to comes along: pages, pictures,
and a source file as a page that shows it. The reference of the public names is made from
``limner.__all__``.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from site_check import check

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "site"
SITE = ROOT / "site"

PICTURES = {".png", ".jpg", ".jpeg", ".svg", ".webp", ".gif"}
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".yaml": "yaml", ".sh": "sh"}
REFERENCE = "docs/reference.md"

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Guides", ("docs/painting.md", "docs/redaction.md", "docs/teach.md", "docs/*")),
    ("Lessons", ("examples/README.md", "examples/**")),
    ("Reference", ("docs/commands.md", "docs/models.md", REFERENCE, "docs/files.md")),
    ("Measured", ("docs/minis.md", "docs/checkpoints.md", "docs/log.md", "**")),
    ("Decisions", ("docs/decisions/**",)),
    ("Project", ("docs/architecture.md", "CONTRIBUTING.md", "docs/releasing.md", "*")),
)
"""A page stands in the section that names it, else in that of its folder: ``docs/*`` is the
folder's own pages, ``examples/**`` those below it too."""

_FENCE = re.compile(r"^( *)(```+|~~~+)([^\n]*)$")
_LINK = re.compile(r"(\]\()([^()\s]+)(\))")
_DOCSTRING = re.compile(r"^griffe: .*", re.MULTILINE)
"""What the reference's maker says of a parameter that a function doesn't have, and the like."""
_CODE = re.compile(r"(`+[^`]*`+)")


class PageError(Exception):
    """A page that can't be part of the site, with the line to mend."""


def public_names(package: Path = ROOT / "src" / "limner" / "__init__.py") -> list[str]:
    """``limner.__all__``, read without importing what it stands on; its dunders left out."""
    for node in ast.parse(package.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [name for name in ast.literal_eval(node.value) if not name.startswith("__")]
    raise PageError(f"{package} has no __all__, of which {REFERENCE} is made")


def reference_page() -> str:
    """Every public name, for mkdocstrings to fill."""
    names = public_names()
    first = [name for name in ("Session", "Run") if name in names]
    ordered = first + sorted((name for name in names if name not in first), key=str.lower)
    return (
        "# Python\n\nEvery public name of `limner`, from the program's own docstrings.\n\n"
        "```python\nfrom limner import Box, Session, VisualPrompt\n```\n\n"
    ) + "\n".join(f"::: limner.{name}\n" for name in ordered)


def prose(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it lies outside fenced code; fences keep their language alone.

    Words after the language (``sh network``) are marks for the tests, which Markdown ignores.
    """
    fence = ""
    for line in text.splitlines():
        match = _FENCE.match(line)
        if match and not fence:
            fence = match[2]
            language = match[3].split()
            yield f"{match[1]}{fence}{language[0] if language else ''}", False
        elif match and match[2].startswith(fence) and not match[3].strip():
            fence = ""
            yield line, False
        else:
            yield line, not fence


def section_of(name: str) -> tuple[str, int]:
    """The title of a page's section, and its pattern's place there."""
    folders = [parent.as_posix() for parent in PurePosixPath(name).parents]
    nearest = folders[0].removesuffix(".")
    own = f"{nearest}/*".lstrip("/")
    below = [f"{folder}/**" for folder in folders if folder != "."]
    for wanted in (name, own, *below, "**"):
        for title, patterns in SECTIONS:
            if wanted in patterns:
                return title, patterns.index(wanted)
    raise PageError(f"{name} has no section in docs/site_pages.py")


class Pages:
    """The pages of the site by their path in the repository, followed from ``README.md``."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root.resolve()
        self.pages: dict[str, str] = {}
        self.files: set[str] = set()
        self._add("README.md")
        for path in sorted((self.root / "docs").rglob("*.md")):
            self._add(path.relative_to(self.root).as_posix())

    def _add(self, name: str) -> None:
        if name not in self.pages:
            self.pages[name] = ""
            text = (self.root / name).read_text(encoding="utf-8")
            self.pages[name] = "\n".join(
                self._line(name, number, line) if outside else line
                for number, (line, outside) in enumerate(prose(text), 1)
            )

    def _line(self, name: str, number: int, line: str) -> str:
        def link(match: re.Match[str]) -> str:
            return match[1] + self._target(f"{name}:{number}", name, match[2]) + match[3]

        parts = _CODE.split(line)
        return "".join(part if at % 2 else _LINK.sub(link, part) for at, part in enumerate(parts))

    def _target(self, place: str, page: str, target: str) -> str:
        """The link as it is on the site; what it leads to becomes part of the site."""
        if re.match(r"[a-z]+:|#", target):
            return target
        path, _, anchor = target.partition("#")
        file = Path(os.path.normpath(self.root / Path(page).parent / path))
        if not file.is_relative_to(self.root) or not file.exists():
            raise PageError(f"{place}: ({target}) leads to no file of the repository")
        name = file.relative_to(self.root).as_posix()
        if file.is_dir():
            return self._folder(place, name, path, target)
        if file.suffix == ".md":
            self._add(name)
            return target
        if file.suffix in PICTURES:
            self.files.add(name)
            return target
        self.pages[f"{name}.md"] = _source_page(file, name)
        return f"{path}.md" + (f"#{anchor}" if anchor else "")

    def _folder(self, place: str, name: str, path: str, target: str) -> str:
        if not (self.root / name / "README.md").exists():
            raise PageError(f"{place}: ({target}) is a folder without a README.md")
        self._add(f"{name}/README.md")
        return f"{path.rstrip('/')}/README.md"

    def sections(self) -> list[tuple[str, list[str]]]:
        """Title and pages of each section; every page but the first stands in one."""
        members: dict[str, list[str]] = {title: [] for title, _ in SECTIONS}
        for name in {*self.pages, REFERENCE} - {"README.md"}:
            members[section_of(name)[0]].append(name)
        return [
            (title, sorted(names, key=lambda name: (section_of(name)[1], name)))
            for title, names in members.items()
            if names
        ]

    def navigation(self) -> list[dict[str, object]]:
        """As Zensical's ``nav``."""
        return [
            {"Start": "README.md"},
            *({title: list(names)} for title, names in self.sections()),
        ]

    def write(self, folder: Path) -> None:
        """All of it, as files."""
        for name, text in {**self.pages, REFERENCE: reference_page()}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n", encoding="utf-8")
        for name in self.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.root / name, folder / name)


def _source_page(file: Path, name: str) -> str:
    language = LANGUAGES.get(file.suffix, "text")
    return f"# {file.name}\n\n`{name}`\n\n````{language}\n{file.read_text(encoding='utf-8')}````"


def configuration(pages: Pages) -> str:
    """``docs/zensical.toml`` with the pages' navigation in it."""
    text = (ROOT / "docs" / "zensical.toml").read_text(encoding="utf-8")
    rows = [
        "{ " + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in row.items()) + " }"
        for row in pages.navigation()
    ]
    place = "nav = []"
    if text.count(place) != 1:
        raise PageError(f"docs/zensical.toml needs the line `{place}` once")
    return text.replace(place, "nav = [\n  " + ",\n  ".join(rows) + ",\n]")


def build_site() -> None:
    """Stage the pages, run Zensical in its strict form, move the result to ``site/``."""
    shutil.rmtree(WORK, ignore_errors=True)
    pages = Pages()
    pages.write(WORK / "pages")
    (WORK / "zensical.toml").write_text(configuration(pages), encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "theme", WORK / "theme")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    command += ["-f", str(WORK / "zensical.toml")]
    result = subprocess.run(command, cwd=WORK, stderr=subprocess.PIPE, text=True, check=False)
    print(result.stderr, file=sys.stderr, end="")
    if result.returncode:
        raise PageError(f"Zensical ended with {result.returncode}")
    if warnings := _DOCSTRING.findall(result.stderr):
        raise PageError(f"{len(warnings)} docstrings of public names to mend, see above")
    check(WORK / "site")
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.move(WORK / "site", SITE)
    print(f"{SITE / 'index.html'}: every link leads somewhere, and nothing comes from elsewhere")


if __name__ == "__main__":
    try:
        build_site()
    except PageError as error:
        raise SystemExit(f"make site: {error}") from error
