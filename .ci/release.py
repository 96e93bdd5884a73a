"""What is built is what its tag says: version, tag and changelog agree, or nothing is built.

``make dist`` runs it. Without a tag on the commit it is a build to try, and only said.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def version_of(root: Path) -> str:
    """What ``src/limner/version.py`` says, without importing it."""
    text = (root / "src" / "limner" / "version.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    return version


def tags_of(root: Path) -> list[str]:
    """The commit's tags that name a version; none where there is no git."""
    command = ["git", "tag", "--points-at", "HEAD", "--list", "v[0-9]*"]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return result.stdout.split()


def disagreements(version: str, tags: Sequence[str], changelog: str, dirty: bool) -> list[str]:
    """Why a commit with these tags may not be released as this version; empty without a tag."""
    if not tags:
        return []
    reasons = [
        f"the commit's tag is {tag}, version.py says {version}: change one of them"
        for tag in tags
        if tag != f"v{version}"
    ]
    if not re.search(rf"^## {re.escape(version)}( |$)", changelog, re.MULTILINE):
        reasons.append(f"CHANGELOG.md has no section `## {version}`: rename `## Unreleased`")
    if dirty:
        reasons.append(
            "there are changes that aren't committed: what is built isn't what is tagged"
        )
    return reasons


def main() -> None:
    version, tags = version_of(ROOT), tags_of(ROOT)
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if reasons := disagreements(version, tags, changelog, bool(status.stdout.strip())):
        raise SystemExit("No release:\n" + "\n".join(f"- {reason}" for reason in reasons))
    print(f"limner {version}, " + ("as tagged" if tags else "no tag on this commit: to try only"))


if __name__ == "__main__":
    main()
