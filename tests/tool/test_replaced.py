"""Results that replace files: what the tool writes keeps their permissions and the links that lead
to them, whichever the format. Usage: test_replaced.py GLOWTOOL. SPDX-License-Identifier: MIT
"""
import os
import stat
import subprocess
import sys
import tempfile

tool = os.path.abspath(sys.argv[1])
failed = 0


def check(good, what):
    global failed
    if not good:
        failed += 1
        print("WRONG:", what)


def run(*arguments):
    done = subprocess.run([tool, *arguments], capture_output=True, text=True)
    check(done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}")


def old_behind_link(name):
    """An old file of mode 600 in a folder of its own, with a link to it."""
    os.makedirs("real", exist_ok=True)
    with open(f"real/{name}", "w") as file:
        file.write("old")
    os.chmod(f"real/{name}", 0o600)
    os.symlink(f"real/{name}", name)
    return name


def check_replaced(name):
    real = os.stat(f"real/{name}")
    check(os.path.islink(name), f"{name} is a link no longer")
    check(real.st_size > 3, f"real/{name} was not written")
    check(stat.S_IMODE(real.st_mode) == 0o600, f"real/{name} has mode {real.st_mode:o}")
    check(os.listdir("real").count(name) == 1 and len(os.listdir("real")) == 1,
          f"beside {name}: {os.listdir('real')}")
    os.unlink(f"real/{name}")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    os.umask(0o022)
    run("train", "--format", "digits", "--out", "run", "--steps", "1", "--levels", "1", "--depth",
        "1", "--hidden", "8", "--batch", "4", "--quiet")
    model = "run/model.safetensors"
    data = [model, "--format", "digits", "--images", "4"]
    for name in ["z.safetensors", "z.npy"]:
        run("encode", *data, "--out", old_behind_link(name))
        check_replaced(name)
    run("eval", *data, "--per-image", old_behind_link("scores.csv"))
    check_replaced("scores.csv")
    run("sample", model, "--count", "4", "--out", old_behind_link("grid.png"))
    check_replaced("grid.png")
    run("sample", model, "--count", "4", "--out", "new.png")
    check(stat.S_IMODE(os.stat("new.png").st_mode) == 0o644, "new.png is not an ordinary file")
    os.symlink("turn.png", "turn.png")
    done = subprocess.run([tool, "sample", model, "--count", "4", "--out", "turn.png"],
                          capture_output=True, text=True)
    said = done.stderr.lower()  # "too many levels of symbolic links", or "symbolic link loop"
    check(done.returncode != 0 and "symbolic link" in said, f"a circle: {done.stderr}")
print(f"{failed} failed")
sys.exit(failed > 0)
