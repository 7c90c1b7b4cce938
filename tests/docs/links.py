"""Links of the documents lead somewhere: files that are there, headings that are there.

    python3 links.py SOURCE_ROOT

Each [text](target) and ![text](target) of README.md and the other documents is looked at, each
path of the repository in `code`, and each script or program of the tests that a command line runs.
Addresses outside are not asked for; they must be https. Every document can be reached from
README.md. SPDX-License-Identifier: MIT
"""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1]).resolve()
complaints = []
count = 0


def prose(path):
    """The lines without pieces of code: (number, line)."""
    inside = False
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if line.startswith("```"):
            inside = not inside
        elif not inside and not line.startswith("    "):
            yield number, line


def anchors(path):
    """Names that headings get where the documents are shown."""
    found = set()
    for _, line in prose(path):
        if re.match("#+ ", line):
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line.lstrip("#").strip()).lower()
            name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            again = name
            for number in range(1, 100):
                if again not in found:
                    break
                again = f"{name}-{number}"
            found.add(again)
    return found


documents = (
    sorted(root.glob("*.md"))
    + sorted(root.glob("docs/*.md"))
    + sorted(root.glob(".github/**/*.md"))
)
reached, waiting = set(), [root / "README.md"]
links = {}
for path in documents:
    links[path] = []
    for number, line in prose(path):
        where = f"{path.relative_to(root)}:{number}"
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            count += 1
            if re.match(r"[a-z]+:", target):
                if not target.startswith(("https://", "mailto:")):
                    complaints.append(f"{where}: {target} is not https")
                continue
            file, _, anchor = target.partition("#")
            there = (path.parent / file).resolve() if file else path
            if not there.exists():
                complaints.append(f"{where}: {target}: there is no such file")
            elif anchor and anchor not in anchors(there):
                complaints.append(f"{where}: {target}: there is no such heading")
            links[path].append(there)
        for code in re.findall(r"`((?:lib|tests|examples|include|docs)/[\w./-]+)`", line):
            if "NAME" not in code and not (root / code).exists():
                complaints.append(f"{where}: `{code}` is not there")
    for number, line in enumerate(path.read_text().split("\n"), 1):
        where = f"{path.relative_to(root)}:{number}"
        for script in re.findall(
            r"^    (?:sh|python3) ((?:tests|examples|build/tests)/[\w./-]+)", line
        ):
            if not (root / script).exists():
                complaints.append(f"{where}: there is no {script} to run")
        for program in re.findall(r"^    build/tests/([\w-]+)", line):
            if f"'{program}'" not in (root / "tests/meson.build").read_text():
                complaints.append(f"{where}: no test program is called {program}")
while waiting:
    path = waiting.pop()
    if path not in reached:
        reached.add(path)
        waiting += links.get(path, [])
for path in documents:
    if path not in reached and ".github" not in path.parts:
        complaints.append(f"{path.relative_to(root)}: README.md does not lead to it")
print("\n".join(complaints) or f"{count} links")
sys.exit(1 if complaints or count < 30 else 0)
