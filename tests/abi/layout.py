#!/usr/bin/env python3
"""Makes tests/abi/layout.def from the public headers: the size of every struct, the place of every
field, and the value of every constant, as the compiler has them. Sizes and places are those on 64
bits; on 32 bits where integers of 64 bits begin at multiples of 4 (i386); and where they begin at
multiples of 8 (ARM). gcc and clang for x86 know all three without anything of another machine.

  python3 tests/abi/layout.py            writes the file anew
  python3 tests/abi/layout.py --check    compares (exit status 77: this compiler cannot)

CC names the compiler. In a released struct lines may be added, never changed: docs/abi.md.
SPDX-License-Identifier: MIT"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include"
LIST = ROOT / "tests/abi/layout.def"
MODELS = (["-m64"], ["-m32"], ["-m32", "-malign-double"])
OPENING = """/* Sizes, places of fields, and constants of the interface. SIZE and PLACE have the
 * value on 64 bits, on 32 bits, and on 32 bits where int64_t is aligned to 8.
 * Made by tests/abi/layout.py. SPDX-License-Identifier""" + """: MIT */
"""


def headers():
    """Names of the library's headers as programs include them, <glow/glow.h> left out."""
    found = sorted(INCLUDE.glob("glow/*.h")) + sorted(INCLUDE.glob("glow/sys/*.h"))
    names = [str(path.relative_to(INCLUDE)) for path in found]
    return [name for name in names if name not in ("glow/glow.h", "glow/mpi.h")]


def text_of(header):
    text = (INCLUDE / header).read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def fields_of(body):
    for declaration in body.split(";"):
        declaration = " ".join(declaration.split())
        function = re.search(r"\(\*([a-z_]+)\)\(", declaration)
        if function:
            yield function.group(1)
        elif declaration:
            for part in declaration.split(","):
                yield re.search(r"([A-Za-z_]\w*)(\[[^\]]*\])?$", part.strip()).group(1)


def structs_of(text):
    return re.findall(r"typedef struct (glow_[a-z0-9_]+) \{(.*?)\n\} \1;", text, re.S)


def constants_of(text):
    for status in re.findall(r"^  X\((\w+), -?\d+, ", text, re.M):
        yield "GLOW_" + status
    for body in re.findall(r"enum \{(.*?)\}", text, re.S):
        yield from re.findall(r"\b(GLOW_[A-Z0-9_]+)\s*=", body)
    for name in re.findall(r"^ *#define (GLOW_[A-Z0-9_]+) +[-(0-9]", text, re.M):
        if not re.match(r"GLOW_(SO)?VERSION", name):  # test_layout.c has those
            yield name


def rows():
    """(kind, name, expression) for each line of the list."""
    for header in headers():
        text = text_of(header)
        structs = structs_of(text)
        constants = list(constants_of(text))
        if structs or constants:
            yield "header", header, None
        for name, body in structs:
            yield "SIZE", name, f"sizeof({name})"
            for field in fields_of(body):
                yield "PLACE", f"{name}, {field}", f"offsetof({name}, {field})"
        for name in constants:
            yield "CONSTANT", name, name


def values(expressions, options):
    """What the compiler makes of the expressions; nothing is run."""
    source = "".join(f"#include <{header}>\n" for header in headers())
    source += "void values(void) {\n"
    source += "".join(f'  __asm__("# GLOW_VALUE %c0" ::"i"((int)({e})));\n' for e in expressions)
    source += "}\n"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "values.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
        command = shlex.split(os.environ.get("CC", "cc")) + options + [
            "-std=gnu11", "-O1", "-ffreestanding", f"-I{INCLUDE}", "-S", "-o", "-", path]
        result = subprocess.run(command, capture_output=True, text=True)
    found = re.findall(r"# GLOW_VALUE \$?(-?\d+)", result.stdout)
    if result.returncode != 0 or len(found) != len(expressions):
        print(result.stderr, end="")
        print(f"layout.py: {' '.join(command[:2])} gives no values for {' '.join(options)}")
        sys.exit(77)
    return found


def make():
    lines = list(rows())
    expressions = [expression for _, _, expression in lines if expression]
    columns = [iter(values(expressions, options)) for options in MODELS]
    out = [OPENING]
    for kind, name, _ in lines:
        if kind == "header":
            out.append(f"\n/* <{name}> */\n")
            continue
        numbers = [next(column) for column in columns]
        if kind == "CONSTANT":
            numbers = numbers[:1]
        out.append(f"{kind}({name}, {', '.join(numbers)})\n")
    return "".join(out)


def main():
    made = make()
    if "--check" not in sys.argv:
        LIST.write_text(made, encoding="utf-8")
    elif LIST.read_text(encoding="utf-8") != made:
        print("tests/abi/layout.def is not what the headers say: python3 tests/abi/layout.py")
        known = set(LIST.read_text(encoding="utf-8").splitlines())
        for line in made.splitlines():
            if line not in known:
                print(f"  {line}")
        return 1
    print(f"{made.count('SIZE(')} structs, {made.count('PLACE(')} fields, "
          f"{made.count('CONSTANT(')} constants")
    return 0


if __name__ == "__main__":
    sys.exit(main())
