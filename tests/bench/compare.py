"""Sets libglow beside PyTorch, in turn, and prints ratios. See compare.sh.
SPDX-License-Identifier: MIT
"""
import argparse
import json
import os
import pathlib
import select
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
FIGURES = (("eval", 16), ("sample", 16), ("sample", 1), ("train", 16))
FORMS = ("eager", "channels-last", "compiled")
TRYING = 0.65  # of a comparison's time may go into trying forms of PyTorch, and compiling
NEAR = 1.15  # a form of PyTorch that was this near the fastest once stays in the comparison
MODEL = dict(levels=3, depth=32, hidden=512, size=32)


class Clock:
    """What has been used of the time that the user gives, and what it was used for."""

    def __init__(self, minutes):
        self.start, self.minutes = time.monotonic(), minutes

    def used(self):
        """As a share of it."""
        return (time.monotonic() - self.start) / (60 * self.minutes)

    def tell(self, text):
        seconds = int(time.monotonic() - self.start)
        print(f"compare.sh: {seconds // 60}:{seconds % 60:02} of {self.minutes:g} min: {text}",
              file=sys.stderr, flush=True)


class Libglow:
    """glow-bench, once for each round: it makes its model and is gone, so no memory is kept."""

    def __init__(self, build, options, products):
        self.name, self.products = f"libglow {products}", products
        self.command = [str(build / "tests" / "glow-bench"), "--json", "--modes", "stored",
                        "--inference-form", "--repeat", "2", "--products", products]
        for key in MODEL:
            self.command += [f"--{key}", str(getattr(options, key))]

    def ask(self, figures, threads):
        whats = sorted({what for what, _ in figures})
        batches = sorted({str(batch) for what, batch in figures if what == "sample"})
        output = subprocess.run(
            [*self.command, "--threads", str(threads), "--what", ",".join(whats),
             "--batch", str(figures[0][1]), "--sample-batches", ",".join(batches) or "1"],
            check=True, stdout=subprocess.PIPE, text=True).stdout
        found = {}
        for run in json.loads(output)["runs"]:
            key = (run["what"], run["batch"])
            if key in figures and run["best_s"] < found.get(key, (float("inf"), 0))[0]:
                found[key] = (run["best_s"], run["of_peak"])
            if run["what"] == "train":
                self.memory = run["rss_mib"]
        return found


class Torch:
    """torch_glow.py in one form, which stays until stopped: some forms compile for minutes."""

    def __init__(self, python, options, form, products):
        self.python, self.form, self.products = python, form, products
        self.options, self.process, self.memory, self.version = options, None, 0, None
        self.name = f"{form} {products}"

    def begin(self, limit):
        """limit: seconds that each answer may take from now on."""
        self.limit = limit
        command = [self.python, str(HERE / "torch_glow.py"), "--form", self.form,
                   "--threads", str(self.options.threads)]
        for key in MODEL:
            command += [f"--{key}", str(getattr(self.options, key))]
        if self.products == "bfloat16":
            command.append("--bfloat16")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.version = self.answer()["torch"]

    def answer(self):
        if not select.select([self.process.stdout], [], [], self.limit)[0]:
            raise RuntimeError("it took longer than was left of the time")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read().strip().split("\n")[-1])
        return json.loads(line)

    def request(self, what, number):
        print(what, number, file=self.process.stdin, flush=True)
        return self.answer()

    def ask(self, figures, _threads):
        found = {}
        for figure in figures:
            answer = self.request(*figure)
            found[figure] = (answer["seconds"], None)
            if figure[0] == "train":
                self.memory = answer["peak_mib"]
        return found

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def torch_version(python):
    """Of this interpreter; None without PyTorch."""
    try:
        done = subprocess.run([python, "-c", "import torch; print(torch.__version__)"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def pythons(named):
    """{version of PyTorch: interpreter}, newest first."""
    found = {}
    for python in named or ["python3", "/usr/bin/python3"]:
        version = torch_version(shutil.which(python) or python)
        if version:
            found.setdefault(version, python)
    return dict(sorted(found.items(), key=lambda item: [
        int(part) for part in item[0].split("+")[0].split(".")[:2]], reverse=True))


class Comparison:
    """One version of PyTorch, in all its forms, beside libglow."""

    def __init__(self, version, python, ours, options, clock, share):
        self.version, self.options, self.clock, self.ours = version, options, clock, ours
        self.begun, self.share = clock.used(), share  # of the time, after which no round is begun
        old = version.startswith("1.")  # torch.compile came with 2.0
        self.forms = [Torch(python, options, form, products) for form in FORMS
                      for products in options.products if not (old and form == "compiled")]
        self.times = {}  # (side, figure) -> seconds, in order of the rounds
        self.failures = {}

    def ask(self, side, figures):
        self.clock.tell(f"PyTorch {self.version}, {side.name}" if isinstance(side, Torch)
                        else side.name)
        for figure, result in side.ask(figures, self.options.threads).items():
            self.times.setdefault((side.name, figure), []).append(result)

    def screen(self):
        """Each form once, which also compiles; those that are far from the fastest are stopped."""
        for form in list(self.forms):
            try:
                left = TRYING * (self.share - self.begun) - (self.clock.used() - self.begun)
                if left < 0:
                    raise RuntimeError("no time was left for it")
                form.begin(left * 60 * self.clock.minutes)
                self.ask(form, FIGURES)
                form.limit = None
            except (RuntimeError, OSError) as error:
                self.failures[form.name] = str(error)
                form.stop()
                self.forms.remove(form)
        for form in list(self.forms):
            if not self.figures_of(form):
                form.stop()
                self.forms.remove(form)

    def figures_of(self, form):
        """Where it is one of the fastest."""
        def seconds(other, figure):
            return min(s for s, _ in self.times[other.name, figure])
        rivals = [f for f in self.forms if f.products == form.products]
        return [g for g in FIGURES
                if seconds(form, g) <= NEAR * min(seconds(f, g) for f in rivals)]

    def round(self):
        for ours in self.ours:
            self.ask(ours, FIGURES)
            for form in self.forms:
                if form.products == ours.products:
                    self.ask(form, self.asked[form.name])

    def run(self):
        self.screen()
        self.asked = {f.name: self.figures_of(f) for f in self.forms}
        rounds, longest = 0, 0.0
        while not rounds or self.clock.used() + longest < self.share:
            start = self.clock.used()
            self.round()
            longest = max(longest, self.clock.used() - start)
            rounds += 1
        self.report(rounds)

    def report(self, rounds):
        print(f"\nPyTorch {self.version}, {rounds} rounds on {self.options.threads} threads; "
              "seconds are medians of the rounds' best, ratios medians of the rounds' ratios")
        print(f"{'':24} {'libglow':>9} {'PyTorch':>9} {'ratio':>6} {'least':>6} {'most':>6} "
              f"{'of peak':>8}  form of PyTorch")
        self.ratios = {}
        for ours in self.ours:
            for figure in FIGURES:
                self.row(ours, figure, rounds)
            self.memory(ours)
        for name, why in self.failures.items():
            print(f"not compared: {name}: {why}")

    def row(self, ours, figure, rounds):
        sides = [f for f in self.forms if f.products == ours.products]
        if not sides:
            return
        theirs = {f.name: [s for s, _ in self.times[f.name, figure]][-rounds:] for f in sides
                  if len(self.times[f.name, figure]) > rounds}
        fastest = min(theirs, key=lambda name: statistics.median(theirs[name]))
        mine = [s for s, _ in self.times[ours.name, figure]]
        ratios = [their / our for their, our in zip(theirs[fastest], mine)]
        peak = statistics.median(p for _, p in self.times[ours.name, figure])
        name = f"{figure[0]} of {figure[1]}, {ours.products}"
        ratio = statistics.median(ratios)
        print(f"{name:24} {statistics.median(mine):9.3f} {statistics.median(theirs[fastest]):9.3f} "
              f"{ratio:6.2f} {min(ratios):6.2f} {max(ratios):6.2f} {peak:8.2f}  "
              f"{fastest.split()[0]}")
        self.ratios[f"{figure[0]}_{figure[1]}_{ours.products}"] = round(ratio, 3)

    def memory(self, ours):
        peaks = [f.memory for f in self.forms if f.products == ours.products and f.memory]
        if peaks:
            print(f"{'memory of training, ' + ours.products:24} {ours.memory:5.0f} MiB "
                  f"{min(peaks):5.0f} MiB {ours.memory / min(peaks):6.2f} of it")

    def threads(self, counts):
        """Images a second on 1, 2, 4, ... threads; PyTorch without forms compiled for a number."""
        ours = self.ours[0]
        sides = [f for f in self.forms if f.products == ours.products and f.form != "compiled"]
        print(f"\nimages a second by threads, {ours.products} (PyTorch: the faster of its forms "
              "that are not compiled)")
        for count in counts:
            self.clock.tell(f"{count} threads")
            found = ours.ask(FIGURES, count)
            for figure in FIGURES:
                what, batch = figure
                line = f"{what + ' of ' + str(batch):14} {count:4} threads  " \
                       f"libglow {batch / found[figure][0]:9.2f}"
                theirs = []
                for side in sides:
                    side.request("threads", count)
                    theirs.append(side.request(*figure)["seconds"])
                print(line + (f"  PyTorch {batch / min(theirs):9.2f}" if theirs else ""))

    def stop(self):
        for form in self.forms:
            form.stop()


def thread_counts(most):
    counts, count = [], 1
    while count < most:
        counts.append(count)
        count *= 2
    return [*counts, most]


def vectors(build, python, clock):
    """The 2-D flow, one point and many."""
    clock.tell("flows in two dimensions")
    theirs = json.loads(subprocess.run([python, str(HERE / "torch_flow2d.py")], check=True,
                                       stdout=subprocess.PIPE).stdout)
    ratios = {}
    print()
    for batch in 1, 16384:
        report = json.loads(subprocess.run(
            [str(build / "tests" / "glow-bench"), "--json", "--model", "flow2d", "--what",
             "eval,sample", "--batch", str(batch), "--sample-batches", str(batch)],
            check=True, stdout=subprocess.PIPE).stdout)
        for run in report["runs"]:
            other = theirs[f"{run['what']}_{batch}_s"]
            ratios[f"flow2d_{run['what']}_{batch}"] = round(other / run["best_s"], 2)
            print(f"2-D flow, {run['what']} of {batch:6} {1e3 * run['best_s']:10.4f} ms  PyTorch "
                  f"{1e3 * other:10.4f} ms  ratio {other / run['best_s']:7.2f}")
    return ratios


def main():
    parse = argparse.ArgumentParser(prog="compare.sh", description="libglow beside PyTorch")
    parse.add_argument("build", nargs="?", default=str(HERE.parents[1] / "build"))
    parse.add_argument("--minutes", type=float, default=10)
    parse.add_argument("--python", action="append", help="an interpreter that has PyTorch")
    parse.add_argument("--products", choices=("float32", "bfloat16"), action="append")
    parse.add_argument("--threads", type=int, default=os.cpu_count())
    for key, value in MODEL.items():
        parse.add_argument("--" + key, type=int, default=value)
    options = parse.parse_args()
    options.products = options.products or ["float32", "bfloat16"]
    clock, build = Clock(options.minutes), pathlib.Path(options.build)
    found = pythons(options.python)
    if not found:
        print("compare.sh: no PyTorch: pip install torch in a virtual environment, and name its "
              "interpreter by --python", file=sys.stderr)
        return 77
    ours = [Libglow(build, options, products) for products in options.products]
    summary = {}
    for index, (version, python) in enumerate(found.items()):
        # The newest, which alone compiles, has most of the time; the last tenth is for the rest.
        share = (0.6 if len(found) > 1 else 0.85) + 0.3 * index / max(1, len(found) - 1)
        comparison = Comparison(version, python, ours, options, clock, share)
        try:
            comparison.run()
            if index == 0:
                comparison.threads(thread_counts(options.threads))
        finally:
            comparison.stop()
        summary[version] = comparison.ratios
    summary["flow2d"] = vectors(build, next(iter(found.values())), clock)
    print(json.dumps(summary))
    return 0


sys.exit(main())
