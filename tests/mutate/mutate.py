"""Sows faults into a copy of the library, one at a time, and names those that no test noticed.
See tests/mutate.sh. SPDX-License-Identifier: MIT
"""
import argparse
import collections
import concurrent.futures
import hashlib
import json
import math
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import faults  # noqa: E402
import sites  # noqa: E402

SUITES = {"unit", "train", "contract", "io", "import", "bits", "golden", "fault", "fuzz", "abi"}
ADDRESS_SPACE = 16 << 30  # of one test program: a fault in a size must not fill the machine
FILE_SIZE = 1 << 30
EQUIVALENT = pathlib.Path(__file__).with_name("equivalent.txt")
ELSEWHERE = ("_neon", "avx512bf16", "_amx")  # kernels that this machine may not be able to run


def output(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout


class Tree:
    """The copy of the sources, and its build."""

    def __init__(self, root, folder):
        self.source, self.build = folder / "tree", folder / "build"
        self.temporary = folder / "tmp"
        self.log = folder / "build.log"
        self.environment = dict(os.environ, CCACHE_BASEDIR=str(folder), CCACHE_NOHASHDIR="1",
                                TMPDIR=str(self.temporary), NINJA_STATUS="",
                                MALLOC_PERTURB_="85")  # what is not set is not zero, either
        self.copy(root)
        self.programs = {}

    def copy(self, root):
        """What git knows or does not ignore, where it differs from what is there."""
        names = output("git", "-C", root, "ls-files", "-z", "-co", "--exclude-standard").decode()
        names = {n for n in names.split("\0") if n and (root / n).is_file()}
        for name in names:
            source, target = root / name, self.source / name
            if target.is_file() and target.read_bytes() == source.read_bytes():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        for path in self.source.rglob("*"):
            if path.is_file() and str(path.relative_to(self.source)) not in names:
                path.unlink()

    def ninja(self, *targets):
        with open(self.log, "wb") as log:
            return subprocess.run(["ninja", "-C", self.build, *targets], stdout=log,
                                  stderr=subprocess.STDOUT, env=self.environment).returncode == 0

    def configure(self, options):
        if not (self.build / "build.ninja").exists():
            shutil.rmtree(self.build, ignore_errors=True)
            subprocess.run(["meson", "setup", self.build, self.source, "-Dexamples=disabled",
                            "-Dglowtool=disabled", "-Dtests=enabled", *options], check=True,
                           stdout=subprocess.DEVNULL, env=self.environment)

    def introspect(self, what):
        return json.loads(output("meson", "introspect", what, self.build))

    def tests(self):
        """The programs of the quick suites."""
        targets = {t["filename"][0]: t for t in self.introspect("--targets")
                   if t["type"] == "executable"}
        found = []
        for test in self.introspect("--tests"):
            suites = {s.split(":")[-1] for s in test["suite"]}
            if test["cmd"][0] in targets and suites & SUITES:
                found.append(Test(test, targets[test["cmd"][0]], self))
        return found

    def objects(self):
        """What the library's sources compile to: {object file: hash}."""
        return {p: hashlib.sha256(p.read_bytes()).digest()
                for p in sorted((self.build / "lib").rglob("*.o"))}

    def sources(self):
        """Files of lib/ that this build reads."""
        read = set()
        for line in output("ninja", "-C", self.build, "-t", "deps").decode().split("\n"):
            path = (self.build / line.strip()).resolve()
            if line.startswith("  ") and (self.source / "lib") in path.parents:
                read.add(str(path.relative_to(self.source)))
        return sorted(n for n in read if not any(e in n for e in ELSEWHERE))


class Test:
    def __init__(self, test, target, tree):
        self.name, self.command, self.tree = test["name"], test["cmd"], tree
        self.target = os.path.relpath(test["cmd"][0], tree.build)
        self.environment = dict(tree.environment, **test["env"])
        self.includes = ""
        for part in target["target_sources"]:
            for source in part.get("sources", []):
                if os.path.exists(source) and "support" not in source:
                    self.includes += pathlib.Path(source).read_text()
        self.cpu, self.state = 0.0, ""

    def hash(self):
        """Of its program without a fault, and its arguments: what passed need not be run again."""
        program = pathlib.Path(self.command[0]).read_bytes()
        words = " ".join(self.command).replace(str(self.tree.build.parent), "")
        return hashlib.sha256(program + words.encode()).hexdigest()[:16]

    def measure(self, longest):
        """Seconds of the processor; it must pass, unless it takes longer than that."""
        self.cpu = longest / 20
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = self.run()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if result == "hang":
            return math.inf
        if result:
            sys.exit(f"mutate: {self.name} fails without a fault ({result})")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def run(self, stop=None):
        """None: passed; else in a word what happened."""
        cpu = int(5 + 20 * self.cpu)  # seconds of the processor: a busy machine is no hang

        def limit():
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))

        with subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, env=self.environment, preexec_fn=limit,
                              start_new_session=True, cwd=self.tree.temporary) as process:
            left, late = 100 * (60 + 30 * cpu), False  # looks, not time: a stop is no hang
            try:
                while process.poll() is None and not late and not (stop and stop.is_set()):
                    time.sleep(0.01)
                    left -= 1
                    late = left < 0
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        if late:
            return "hang"
        if code in (0, 77):
            return None
        return {-signal.SIGXCPU: "hang", -signal.SIGKILL: "hang"}.get(
            code, f"signal {-code}" if code < 0 else "failed")


def run_all(tests, jobs):
    """Runs them in this order until one fails: (test, what happened) or None."""
    stop, found = threading.Event(), []

    def one(test):
        if stop.is_set():
            return
        result = test.run(stop)
        if result and not stop.is_set():
            found.append((test, result))
            stop.set()

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            list(pool.map(one, tests))
        except BaseException:  # the user stops the run: end the programs, too
            stop.set()
            raise
    return found[0] if found else None


class Run:
    def __init__(self, root, folder, options):
        self.root, self.folder, self.options = root, folder, options
        self.results = folder / f"results-{options.seed}.jsonl"
        self.times = folder / "times.json"
        self.tree = Tree(root, folder)
        self.library = self.digest("lib", "include", "meson.build")
        self.known = self.read_results()
        self.equivalent = faults.read_equivalent(EQUIVALENT, self.tree.source)

    def digest(self, *names):
        total = hashlib.sha256()
        for name in names:
            top = self.tree.source / name
            for path in sorted(top.rglob("*") if top.is_dir() else [top]):
                if path.is_file():
                    total.update(str(path.relative_to(self.tree.source)).encode())
                    total.update(path.read_bytes())
        return total.hexdigest()[:16]

    def read_results(self):
        """Of earlier runs over the same library."""
        known = {}
        if self.results.exists():
            for line in self.results.read_text().split("\n"):
                record = json.loads(line) if line.endswith("}") else None
                if record and record["library"] == self.library:
                    known[record["key"]] = record
        return known

    def prepare(self):
        """Builds the copy as it is; every test must pass, and tells how long it takes."""
        shutil.rmtree(self.tree.temporary, ignore_errors=True)
        self.tree.temporary.mkdir()
        self.tree.configure(self.options.meson)
        tests = self.tree.tests()
        if not self.tree.ninja("all"):
            sys.exit(f"mutate: the library does not build: {self.tree.log}")
        self.objects = self.tree.objects()
        times = json.loads(self.times.read_text()) if self.times.exists() else {}
        for test in tests:
            test.state = test.hash()
            test.cpu = times.get(test.state) or test.measure(self.options.longest)
            if test.state not in times and test.cpu < math.inf:
                times[test.state] = test.cpu
                self.times.write_text(json.dumps(times))
        self.tests = [t for t in tests if t.cpu <= self.options.longest]
        seconds = sum(t.cpu for t in self.tests)
        print(f"{len(self.tests)} test programs, {seconds:.0f} s of the processor", flush=True)

    def sample(self):
        """Faults in a random order that the seed decides, one for each line of code."""
        lines = {}
        for name in self.tree.sources():
            if self.options.only and not any(part in name for part in self.options.only):
                continue
            text = (self.tree.source / name).read_text()
            for site in sites.sites(text):
                kinds = lines.setdefault((name, text.count("\n", 0, site[0])), {})
                kinds.setdefault(site[3], []).append(site)
        chances = {place: random.Random(f"{self.options.seed} {place[0]} {place[1]}")
                   for place in sorted(lines)}
        # Each place draws its own turn, so that a change elsewhere does not mix all anew.
        for name, line in sorted(lines, key=lambda place: chances[place].random()):
            chance = chances[name, line]
            of_kind = lines[name, line][chance.choice(sorted(lines[name, line]))]
            yield faults.Mutant(name, (self.tree.source / name).read_text(), chance.choice(of_kind))

    def missed(self):
        """What earlier runs with this seed missed."""
        for key, record in sorted(self.known.items()):
            name, at, size, _ = key.split(":", 3)
            text = (self.tree.source / name).read_text()
            for site in sites.sites(text) if record["verdict"] == "missed" else []:
                if f"{name}:{site[0]}:{site[1]}:{site[2].strip()}" == key:
                    yield faults.Mutant(name, text, site)

    def order(self, path):
        """First the tests that found most in this folder for the time they take, then those that
        look into it, then the shortest."""
        folder, _ = path.rsplit("/", 1)
        finders = collections.Counter(
            r["by"].rsplit(":", 1)[0] for r in self.known.values() if r["key"].startswith(folder))
        looks = f'#include "{folder[4:]}/'
        return sorted(self.tests, key=lambda t: (-finders[t.name] / (t.cpu + 0.2),
                                                 looks not in t.includes, t.cpu, t.name))

    def judge(self, mutant, passed):
        """(verdict, by whom). passed: states of tests that have not noticed it before."""
        path = self.tree.source / mutant.path
        whole = path.read_text()
        path.write_text(mutant.text)
        try:
            if not self.tree.ninja("lib/libglow.a"):
                return "does not compile", ""
            changed = [p for p, h in self.tree.objects().items() if self.objects.get(p) != h]
            if not changed:
                return "same code", ""
            order, size = [t for t in self.order(mutant.path) if t.state not in passed], 6
            while order:
                batch, order = order[:size], order[size:]
                if not self.tree.ninja(*{t.target for t in batch}):
                    return "does not compile", ""
                found = run_all(batch, self.options.jobs)
                if found:
                    return "found", f"{found[0].name}: {found[1]}"
                size *= 2
            return "missed", ""
        finally:
            path.write_text(whole)
            shutil.rmtree(self.tree.temporary)
            self.tree.temporary.mkdir()

    def run(self):
        self.prepare()
        judged, self.skipped = [], 0
        for mutant in self.missed() if self.options.missed else self.sample():
            if len(judged) == self.options.count:
                break
            if mutant.change in self.equivalent:
                self.skipped += 1
                continue
            record = self.known.get(mutant.key)
            passed = set(record.get("passed", [])) if record else set()
            asked = {t.state for t in self.tests}
            if not record or (record["verdict"] == "missed" and asked - passed):
                start = time.monotonic()
                verdict, by = self.judge(mutant, passed)
                record = dict(key=mutant.key, line=mutant.line, kind=mutant.kind,
                              before=mutant.before, after=mutant.after, verdict=verdict, by=by,
                              library=self.library, seconds=round(time.monotonic() - start, 1),
                              passed=sorted(passed | asked) if verdict == "missed" else [])
                with open(self.results, "a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
            self.known[mutant.key] = record
            if record["verdict"] in ("found", "missed"):
                judged.append(mutant)
                print(f"{len(judged)}/{self.options.count} {mutant.path}:{mutant.line} "
                      f"{record['verdict']} {record['by']}", flush=True)
        self.report(judged)

    def report(self, judged):
        missed = [m for m in judged if self.known[m.key]["verdict"] == "missed"]
        for m in sorted(missed, key=lambda m: (m.path, m.line)):
            print(f"\n{m.path}:{m.line}: {m.kind}\n  - {m.before}\n  + {m.after}")
        found = len(judged) - len(missed)
        percent = 100 * found / max(1, len(judged))
        verdicts = [r["verdict"] for r in self.known.values()]
        print(f"\nseed {self.options.seed}: {len(judged)} faults, {found} found ({percent:.1f} %), "
              f"{len(missed)} missed; not counted: {verdicts.count('same code')} with the same "
              f"object code, {verdicts.count('does not compile')} that do not compile, "
              f"{self.skipped} of {EQUIVALENT.name}")


def main():
    parse = argparse.ArgumentParser(prog="mutate.sh", description="sows faults into lib/")
    parse.add_argument("--seed", type=int, default=1)
    parse.add_argument("--count", type=int, default=200, help="how many faults count")
    parse.add_argument("--jobs", type=int, default=os.cpu_count(), help="tests at a time")
    parse.add_argument("--missed", action="store_true", help="only those missed before")
    parse.add_argument("--only", action="append", help="files whose path holds this text")
    parse.add_argument("--longest", type=float, default=600, metavar="S",
                       help="leave out tests that take longer")
    parse.add_argument("--folder", default="build-mutate", help="for the copy and the results")
    parse.add_argument("--meson", action="append", default=[], help="an option of the build")
    options = parse.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("mutate: stopped"))
    root = pathlib.Path(__file__).resolve().parents[2]
    folder = pathlib.Path(options.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    Run(root, folder, options).run()
    for name in ("tree", "build", "tmp"):  # the results stay
        shutil.rmtree(folder / name)


main()
