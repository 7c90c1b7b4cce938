"""Every public function has its comment, with what a caller has to know, or docs/api.md says it.

    python3 reference.py SOURCE_ROOT

For each GLOW_API function: a comment above it; each array among its parameters by name there, or in
the table of parameters of docs/api.md; the owner of a pointer that it returns, there or by rule;
statuses that exist. For docs/api.md: every status, and every object in the rules about threads.
SPDX-License-Identifier: MIT
"""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
rules = (root / "docs/api.md").read_text()
complaints = []


def functions(path):
    """(line, comment, declaration) of each; a comment may serve those that follow it at once."""
    comment, lines = "", path.read_text().split("\n")
    at = 0
    while at < len(lines):
        first, line = at, lines[at]
        at += 1
        if not line.strip() or line.startswith("/* ----"):
            comment = ""
        if line.startswith("/*"):
            while "*/" not in lines[at - 1]:
                at += 1
            comment = "" if "----" in line else "\n".join(lines[first:at])
        elif line.startswith("GLOW_API"):
            while ";" not in lines[at - 1]:
                at += 1
            yield first + 1, comment, " ".join(" ".join(lines[first:at]).split())


def named_in_rules():
    """Names of parameters, from the first column of the tables under "Parameters"."""
    names = set()
    for line in rules[rules.index("\n## Parameters") :].split("\n"):
        if line.startswith("| `"):
            names.update(re.findall(r"`(\w+)`", line.split("|")[1]))
    return names


statuses = set(re.findall(r"X\((E_\w+),", (root / "include/glow/base.h").read_text()))
known = named_in_rules()
array = re.compile(r"(?:float|double|int32_t|int64_t|uint64_t|uint8_t|char) \*(?:const \*)?(\w+)")
owner = re.compile(r"owned|never null|valid|caller|borrow", re.IGNORECASE)
count = 0
for path in sorted((root / "include/glow").rglob("*.h")):
    for number, comment, declaration in functions(path):
        count += 1
        name = re.search(r"(glow_\w+)\(", declaration)[1]
        where = f"{path.relative_to(root)}:{number}: {name}"
        if not comment:
            complaints.append(f"{where}: no comment")
        for parameter in array.findall(declaration[declaration.index("(") :]):
            if not re.search(rf"\b{parameter}\b", comment) and parameter not in known:
                if not re.search(r"const char \*" + parameter, declaration):
                    complaints.append(f"{where}: `{parameter}` is neither there nor in docs/api.md")
        for status in re.findall(r"GLOW_(E_\w+)", comment):
            if status not in statuses:
                complaints.append(f"{where}: there is no GLOW_{status}")
        of_object = re.search(r"\((?:const )?glow_\w+ \*", declaration)
        if re.match(r"GLOW_API [^(]*\*glow_", declaration) and not of_object:
            said = owner.search(comment) or "(void)" in declaration or "index" in declaration
            if not said:
                complaints.append(f"{where}: whose is the pointer that it returns?")

for status in statuses - {"E_"}:
    if f"| `GLOW_{status}` |" not in rules:
        complaints.append(f"docs/api.md: nothing about GLOW_{status}")
threads = rules[rules.index("\n## Threads") : rules.index("\n## Parameters")].lower()
for kind in re.findall(r'X\(\w+, "([a-z ]+)"\)', (root / "lib/base/base.h").read_text()):
    word = {"pool": "pool", "random number generator": "generator", "diagnosis": "diagnoses"}
    if kind not in ("net", "layer") and word.get(kind, kind) not in threads:
        complaints.append(f"docs/api.md: which threads may use a {kind}?")
print("\n".join(complaints) or f"{count} functions")
sys.exit(1 if complaints or count < 200 else 0)
