#!/usr/bin/env python3
"""What glowtool sends to a terminal: a line that renews itself where that is wanted, and no escape
codes anywhere else. Usage: test_terminal.py GLOWTOOL. SPDX-License-Identifier: MIT
"""
import os
import pty
import subprocess
import sys
import tempfile

tool = os.path.abspath(sys.argv[1])
passed = failed = 0


def expect(what, good):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print("WRONG:", what)


def run(folder, terminal, **environment):
    """What a run says, to a terminal or to a pipe."""
    arguments = "train --data images.raw --format raw:3x8x8 --levels 1 --depth 1 --hidden 8".split()
    arguments += "--batch 8 --steps 40 --threads 1 --report-every 10 --no-checkpoints".split()
    names = {k: v for k, v in os.environ.items() if k not in ("TERM", "NO_COLOR")}
    names.update(environment)
    command = [tool, *arguments, "--out", os.path.join(folder, "out")]
    if not terminal:
        done = subprocess.run(command, env=names, cwd=folder, capture_output=True)
        expect(f"code {done.returncode}: {done.stderr!r}", done.returncode == 0)
        return done.stdout + done.stderr
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        print(f"skipped: no terminal can be made here: {error}")
        sys.exit(77)
    process = subprocess.Popen(command, env=names, cwd=folder, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side has gone
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    expect("code 0", process.wait() == 0)
    return said


with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "images.raw"), "wb") as file:
        file.write(bytes(range(192)) * 16)
    said = run(folder, True, TERM="xterm")
    expect("a terminal gets a line that renews itself", b"\x1b[K" in said and b"\rstep" in said)
    for environment in ({"TERM": "dumb"}, {}, {"TERM": ""}, {"TERM": "xterm", "NO_COLOR": "1"}):
        said = run(folder, True, **environment)
        expect(f"{environment}: no escape codes: {said!r}", b"\x1b" not in said)
        expect(f"{environment}: lines", said.count(b"\r\nstep ") == 5)  # 1, 10, 20, 30, 40
    expect("NO_COLOR that is empty does not count",
           b"\x1b[K" in run(folder, True, TERM="xterm", NO_COLOR=""))
    said = run(folder, False, TERM="xterm")
    expect(f"a pipe gets no control characters: {said!r}",
           not any(b < 32 and b != 10 for b in said))
    expect("what is read is told", said.startswith(b"reading training images: images.raw\n"))

print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
