"""Signals, limits and outputs that go away: training saves and goes on or ends in order, other
commands leave a whole file or none.

    python3 test_signals.py GLOWTOOL

SPDX-License-Identifier: MIT
"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

tool = os.path.abspath(sys.argv[1])
passed = failed = 0
PATIENCE = 120  # seconds, on a machine that does other things

TINY = "--format shapes --size 8 --images 32 --test-images 8 --samples 4 --threads 1".split()
TINY += "--levels 1 --depth 1 --hidden 8 --batch 8 --warmup 0 --report-every 1".split()
LONG = TINY + "--steps 100000000 --test-every 0 --sample-every 0".split()


def expect(what, good):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print("WRONG: " + what)


def until(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    expect(what, condition())


class Run:
    """A command in the background, with these signals ignored from its start."""

    def __init__(self, *arguments, ignored=(), **options):
        def prepare():
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)

        self.said = open("said", "w+")
        options.setdefault("stdout", self.said)
        self.process = subprocess.Popen(
            [tool, *arguments], stderr=self.said, preexec_fn=prepare, **options
        )
        self.words = " ".join(arguments[:2])

    def text(self):
        with open("said", errors="replace") as file:
            return file.read()

    def kill(self, number):
        self.process.send_signal(number)

    def ended(self, what, code):
        """Waits for its end, which must be with this code."""
        try:
            found = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            found = "no end"
        expect(f"{what}: code {found}, not {code}: {self.text()[-400:]}", found == code)


def has(path, text):
    try:
        with open(path, errors="replace") as file:
            return text in file.read()
    except OSError:
        return False


def checkpoints(folder):
    return sorted(n for n in os.listdir(folder) if re.fullmatch(r"checkpoint-\d+\.safetensors", n))


def last_line(folder):
    with open(f"{folder}/log.jsonl") as file:
        return json.loads(file.read().splitlines()[-1])


def last_checkpoint(folder):
    return int(checkpoints(folder)[-1][11:-12])


def last_step(folder):
    with open(f"{folder}/log.jsonl") as file:
        return max(int(n) for n in re.findall(r'"event": "step", "step": (\d+)', file.read()))


def whole(path):
    done = subprocess.run([tool, "info", path], capture_output=True, text=True)
    expect(f"{path} is whole: {done.stderr}", done.returncode == 0)


# ---- training ------------------------------------------------------------------------------------


def train(folder, *more, **options):
    rare = [] if "--checkpoint-every" in more else ["--checkpoint-every", "0"]
    run = Run("train", *LONG, "--save-every", "0", *rare, *more, "--out", folder, **options)
    until(f"{folder} makes a step", lambda: has(f"{folder}/log.jsonl", '"event": "step"'))
    return run


def saving():
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        folder = number.name
        run = train(folder)
        run.kill(number)
        until(f"{number.name} writes a checkpoint", lambda: checkpoints(folder))
        until(f"{number.name}: it goes on", lambda: last_step(folder) > last_checkpoint(folder))
        run.kill(signal.SIGTERM)
        run.ended(number.name, 0)
        expect(f"{number.name}: and saves at the end", len(checkpoints(folder)) == 2)
        whole(f"{folder}/model.safetensors")


def ignored():
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU)
    for number in stops:
        folder = "ignored" + number.name
        run = train(folder, ignored=[number])
        run.kill(number)
        other = signal.SIGHUP if number == signal.SIGTERM else signal.SIGTERM
        run.kill(signal.SIGUSR1)
        until(f"{number.name} that is ignored does nothing", lambda: checkpoints(folder))
        run.kill(other)
        run.ended(f"{number.name} is ignored, {other.name} is not", 0)
    run = train("ignoredUSR1", ignored=[signal.SIGUSR1])
    run.kill(signal.SIGUSR1)
    time.sleep(0.3)
    expect("SIGUSR1 that is ignored does nothing", not checkpoints("ignoredUSR1"))
    run.kill(signal.SIGTERM)
    run.ended("SIGUSR1 is ignored", 0)


def twice():
    """Signals that come twice without anybody meaning that: all is saved; and one that is meant."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU):
        folder = "twice" + number.name
        run = train(folder)
        for _ in range(3):
            run.kill(number)
            time.sleep(0.01)
        run.ended(f"{number.name}, three times", 0)
        whole(f"{folder}/model.safetensors")
    # A batch that takes long, so that it is still there a second later.
    large = "--size 32 --levels 3 --depth 16 --hidden 128 --batch 64 --images 64 --warmup 0".split()
    run = Run("train", "--format", "shapes", *large, "--threads", "1", "--quiet", "--out", "large")
    until("a large model is made", lambda: os.path.exists("large/data.png"))
    time.sleep(0.5)
    run.kill(signal.SIGTERM)
    until("it is told", lambda: "stopping after this step" in run.text())
    time.sleep(1.1)
    if run.process.poll() is None:
        run.kill(signal.SIGTERM)
        run.ended("SIGTERM, a second later", -signal.SIGTERM)


def unheard():
    """Nobody reads what it prints: the run goes on, and the exit code tells."""
    for folder, form in (("pipe", []), ("pipe-json", ["--json"])):
        ours, theirs = os.pipe()
        os.close(ours)
        run = Run("train", *TINY, "--steps", "30", *form, "--out", folder, stdout=theirs)
        os.close(theirs)
        run.ended("a pipe that nobody reads", 2)
        expect("all steps are made", last_line(folder)["step"] == 30)
        expect(
            "it is told once", run.text().count("warning: cannot write to the standard output") == 1
        )
        whole(f"{folder}/model.safetensors")
    if os.access("/dev/full", os.W_OK):
        with open("/dev/full", "w") as full:
            run = Run("train", *TINY, "--steps", "30", "--out", "full", stdout=full)
        run.ended("a full disk behind stdout", 2)
        expect("all steps are made", last_line("full")["step"] == 30)


def limit(run, size):
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def quota():
    """A quota that is full for a while: nothing is lost."""
    if not hasattr(resource, "prlimit"):
        print("skipped: a quota that is full for a while; limits of others cannot be set here")
        return
    run = train("quota", "--quiet", "--checkpoint-every", "40", "--keep", "1")
    until("there is a checkpoint", lambda: checkpoints("quota"))
    limit(run, 4096)
    until("a checkpoint fails", lambda: "is not saved; training goes on" in run.text())
    kept = checkpoints("quota")
    limit(run, resource.RLIM_INFINITY)
    expect("it says why", "File too large" in run.text())
    expect(f"the one before is still there: {kept}", len(kept) == 1)
    until("the next is written", lambda: checkpoints("quota")[-1:] > kept)
    run.kill(signal.SIGTERM)
    run.ended("a quota that is full for a while", 0)
    expect("nothing half written is left", not [n for n in os.listdir("quota") if "tmp" in n])
    whole("quota/" + checkpoints("quota")[-1])
    with open("quota/log.jsonl") as file:
        steps = [e["step"] for e in map(json.loads, file) if e["event"] == "step"]
    expect("the log has all lines, those that had to wait too", steps == sorted(set(steps)))
    expect("... from the first to the last", steps == list(range(1, len(steps) + 1)))
    run = train("stays", "--quiet", "--checkpoint-every", "10", "--keep", "1")
    until("there is a checkpoint", lambda: checkpoints("stays"))
    limit(run, 4096)
    run.ended("a quota that stays full", 2)
    expect(f"its last checkpoint is there: {checkpoints('stays')}", len(checkpoints("stays")) == 1)
    whole("stays/" + checkpoints("stays")[0])


# ---- other commands ------------------------------------------------------------------------------


def beside(name):
    return [n for n in os.listdir("results") if n.startswith(name)]


def begin(command, name, *more, **options):
    """A command that writes for a very long time, and has begun."""
    run = Run(
        command,
        "pipe/model.safetensors",
        *more,
        "--threads",
        "1",
        "--out",
        "results/" + name,
        **options,
    )
    until(f"{command} begins {name}", lambda: any(n.endswith(".tmp") for n in beside(name)))
    return run


MANY = {
    "sample": ["--count", "1000000000"],
    "encode": "--format shapes --images 100000000".split(),
    "score": "--format shapes --images 100000000".split(),
}


def half_files():
    os.makedirs("results", exist_ok=True)
    for command, name, number in (
        ("sample", "a.csv", signal.SIGINT),
        ("sample", "a.npy", signal.SIGTERM),
        ("sample", "a.safetensors", signal.SIGHUP),
        ("encode", "b.safetensors", signal.SIGTERM),
        ("encode", "b.npy", signal.SIGXCPU),
        ("score", "c.csv", signal.SIGINT),
    ):
        with open("results/" + name, "w") as file:
            file.write("old")
        run = begin(command, name, *MANY[command])
        run.kill(signal.SIGUSR1)
        run.kill(number)
        run.ended(f"{command}: {number.name}", -number)
        expect(f"{command}: nothing is left beside {name}: {beside(name)}", beside(name) == [name])
        expect(f"{command}: the old {name} is there", has("results/" + name, "old"))
        expect(f"{command}: it says so", f"stopped: results/{name} is not written" in run.text())
    run = begin("sample", "d.csv", *MANY["sample"], ignored=[signal.SIGHUP])
    run.kill(signal.SIGHUP)
    time.sleep(0.2)
    expect("nohup keeps its meaning", run.process.poll() is None)
    run.kill(signal.SIGKILL)
    run.ended("SIGKILL", -signal.SIGKILL)
    expect("a killed command leaves a temporary file", beside("d.csv") == ["d.csv.glow-0.tmp"])
    run = Run("sample", "pipe/model.safetensors", "--count", "2", "--out", "results/d.csv")
    run.ended("the next one", 0)
    expect(f"... which the next one removes: {beside('d.csv')}", beside("d.csv") == ["d.csv"])


def too_large():
    for name in ("e.csv", "e.npy", "e.safetensors"):

        def limited():
            resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))

        done = subprocess.run(
            [
                tool,
                "sample",
                "pipe/model.safetensors",
                "--count",
                "10000",
                "--out",
                "results/" + name,
            ],
            capture_output=True,
            text=True,
            preexec_fn=limited,
        )
        expect(
            f"{name}: code {done.returncode}: {done.stderr}",
            done.returncode == 2 and "File too large" in done.stderr,
        )
        expect(f"{name}: nothing is left: {beside(name)}", beside(name) == [])


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for part in (saving, ignored, twice, unheard, quota, half_files, too_large):
        part()
    os.chdir("/")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
