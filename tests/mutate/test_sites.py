#!/usr/bin/env python3
"""Where faults are sown and where not, on a few lines of C. SPDX-License-Identifier: MIT
"""
import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import faults as lists  # noqa: E402
import sites  # noqa: E402


def faults(text):
    """Each fault as (what is replaced, by what)."""
    return {(" ".join(text[at:at + size].split()), new.strip())
            for at, size, new, _ in sites.sites(text)}


def body(code):
    return faults("static int f(int a, int *b) {\n  " + code + "\n}\n")


class Sites(unittest.TestCase):
    def test_operators(self):
        self.assertEqual(body("return a + b[a] < a * a && a != *b || !a;"), {
            ("+", "-"), ("<", "<="), ("*", "/"), ("&&", "||"), ("!=", "=="), ("||", "&&"),
            ("!", "")})
        self.assertEqual(body("return -a;"), {("-", "")})
        self.assertEqual(body("return a << b->x >> a;"), {("<<", ">>"), (">>", "<<")})
        self.assertEqual(body("return a - b[a]++;"), {("-", "+"), ("++", "--")})

    def test_constants(self):
        self.assertEqual(body("return 3;"), {("3", "2"), ("3", "4")})
        self.assertEqual(body("return 0u;"), {("0u", "1u")})
        self.assertEqual(body("return 0x10;"), {("0x10", "15"), ("0x10", "17")})
        self.assertEqual(body("return 2.0f;"), {("2.0f", "2.02f"), ("2.0f", "20.0f")})
        self.assertEqual(body("return 0x1p-24f;"), {("0x1p-24f", "0x1p-23f"),
                                                    ("0x1p-24f", "0x1p-25f")})

    def test_statements(self):
        self.assertEqual(body("g(a);"), {("g(a);", ";")})
        self.assertEqual(body("if (a)\n    g(a);\n  else\n    *b = a;"), {("g(a);", ";"),
                                                                         ("*b = a;", ";")})
        self.assertEqual(body("for (; a;)\n    continue;"), {("continue;", ";")})
        self.assertEqual(body("int c;\n  const float *d = g(a);\n  glow_x *e;\n  glow_x e;"), set())
        lines = "static void f(int a) {\n  g(a,\n    a);\n}\n"
        (at, size, new, kind), = sites.sites(lines)
        self.assertEqual(kind, "removed")
        self.assertEqual((lines[:at] + new + lines[at + size:]).count("\n"), lines.count("\n"))

    def test_left_alone(self):
        self.assertEqual(faults("/* 1 + 2 */ // 3 + 4\n#include <a+1.h>\n#if A > 1\n#endif\n"),
                         set())
        self.assertEqual(faults("int f(int a[3]);\nstruct s {\n  int a[4];\n};\n"), set())
        self.assertEqual(body('return glow_error(GLOW_E_LIMIT, "%d + 1", a + 1);'), set())
        self.assertEqual(body('_Static_assert(sizeof(int) == 4, "4");'), set())
        self.assertEqual(body('glow_context_log(a, 3, "%d", a + 1);'), set())
        self.assertEqual(body("return g('+', \"1 + 2\");"), set())

    def test_values_outside_of_functions(self):
        self.assertEqual(faults("enum { A = 5 };\n"), {("5", "4"), ("5", "6")})
        self.assertEqual(faults("static const double a[] = {1.5};\n"), {("1.5", "1.515"),
                                                                        ("1.5", "15.0")})
        self.assertEqual(faults("#define HALF(x) (x / 2)\n"), {("/", "*"), ("2", "1"), ("2", "3")})


class Equivalent(unittest.TestCase):
    """The list of faults that nobody can notice."""

    def read(self, text):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "a.c").write_text("static int f(int a) {\n  return a + 2;\n}\n")
            (root / "list").write_text(text)
            return lists.read_equivalent(root / "list", root)

    def test_entries(self):
        entry = "a.c\n- return a + 2;\n+ return a - 2;\nThe reason.\n"
        change = ("a.c", "return a + 2;", "return a - 2;")
        self.assertEqual(self.read(""), set())
        self.assertEqual(self.read("# a comment\n\n" + entry + "More of it.\n"), {change})
        more = "\n" + entry.replace("- 2", "+ 3")
        self.assertEqual(self.read(entry + more), {change, (*change[:2], "return a + 3;")})

    def test_what_cannot_be_sown(self):
        for entry in ("a.c\n- return a + 3;\n+ return a - 3;\nReason.\n",  # no such line
                      "a.c\n- return a + 2;\n+ return a * 2;\nReason.\n",  # no such fault
                      "b.c\n- return a + 2;\n+ return a - 2;\nReason.\n",  # no such file
                      "a.c\n- return a + 2;\n+ return a - 2;\n",  # no reason
                      "a.c\nReason.\n"):
            with self.assertRaises(SystemExit):
                lists.changes_of.__defaults__[0].clear()
                self.read(entry)


unittest.main()
