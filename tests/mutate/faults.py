"""One fault as a change of a line, and the list of those that nobody can notice.
SPDX-License-Identifier: MIT
"""
import sys

import sites


class Mutant:
    """One fault: where it is, and the file's text with it."""

    def __init__(self, path, text, site):
        at, size, new, kind = site
        self.path, self.kind = path, kind
        self.line = text.count("\n", 0, at) + 1
        self.text = text[:at] + new + text[at + size:]
        self.before = text.split("\n")[self.line - 1].strip()
        if kind == "removed":
            self.after = "(left out) " + " ".join(text[at:at + size].split())
        else:
            self.after = self.text.split("\n")[self.line - 1].strip()
        self.change = (path, self.before, self.after)
        self.key = f"{path}:{at}:{size}:{new.strip()}"


def read_equivalent(path, root):
    """The faults of the list, as changes. Each must be one that can be sown: the list follows lib/.
    An entry is a file, the line before (- ) and after (+ ), and the reason; blank lines between."""
    found = set()
    for entry in path.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in entry.split("\n") if line and not line.startswith("#")]
        if not lines:
            continue
        if len(lines) < 4 or not lines[1].startswith("- ") or not lines[2].startswith("+ "):
            sys.exit(f"{path}: not a file, a line before, a line after and a reason: {lines[0]}")
        change = (lines[0], lines[1][2:], lines[2][2:])
        if change not in changes_of(root, lines[0]):
            sys.exit(f"{path}: no such fault can be sown any more: {' | '.join(change)}")
        found.add(change)
    return found


def changes_of(root, name, cache={}):
    """All faults that can be sown into a file, as changes."""
    if name not in cache:
        try:
            text = (root / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return set()
        cache[name] = {Mutant(name, text, site).change for site in sites.sites(text)}
    return cache[name]
