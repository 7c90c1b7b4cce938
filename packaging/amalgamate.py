#!/usr/bin/env python3
"""Writes glow.h and glow.c: the whole library in two files, which compile without a build system.

    python3 packaging/amalgamate.py FOLDER

Everything comes from include/ and lib/, by the lists of lib/meson.build. What was compiled file by
file has to get along in one file, so on the way

- headers come once, in front of the first file that includes them, but templates in every such
  file: headers without an include guard, or with a SIMD_WIDTH that their file defines;
- a name that several files define, each for itself, gets the file's name in front; macros end with
  their file; and functions that the files share (glow__...) become static;
- kernels for a vector instruction set, which lib/meson.build compiles with flags of their own, are
  compiled for it by pragmas.

docs/embedding.md tells what the two files are like to use. SPDX-License-Identifier: MIT"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIB, INCLUDE = ROOT / 'lib', ROOT / 'include'
LICENSE = (ROOT / 'LICENSE').read_text()
MESON = (LIB / 'meson.build').read_text()

# ---- the lists of lib/meson.build ----------------------------------------------------------------

# Files that lib/meson.build adds under a condition of its own.
CONDITIONS = {
    'base/live.c': 'defined(GLOW_DEBUG)',
    'io/unsupported.c': '!defined(GLOW_HAVE_FILES)',
    'math/kernels_cblas.c': 'defined(GLOW_BLAS_LIBRARY)',
}

Kernels = collections.namedtuple('Kernels', 'name flags files macro')


def quoted(text):
    return re.findall(r"'([^']*)'", text)


def meson_list(name):
    """What all lists with this name have, one after the other."""
    lists = re.findall(rf'^ *{name} \+?= (?:files\(|\[)(.*?)[\])]', MESON, re.M | re.S)
    return [value for each in lists for value in quoted(each)]


def meson_kernels():
    flags = collections.defaultdict(list)
    for name, value in re.findall(r'^ *(\w+_flags) \+?= (.*)$', MESON, re.M):
        flags[name] += quoted(value)
    for match in re.finditer(r"\['(\w+)', ([^,]+),\s+files\(([^)]*)\)\]", MESON):
        words = re.findall(r"\w+_flags|'[^']*'", match[2])
        own = [flag for word in words for flag in flags.get(word, quoted(word))]
        macro = re.search(r"-D(GLOW_HAVE_\w+)", MESON[match.end():])[1]  # comes behind the files
        yield Kernels(match[1], own, quoted(match[3]), macro)


# ---- C -------------------------------------------------------------------------------------------

TOKEN = re.compile(r'''(?P<blank>/\*.*?\*/|//[^\n]*|\s+)|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|'''
                   r'''[A-Za-z_]\w*|\.?\d(?:[eEpP][+-]|[\w.])*|->|\#\#|.''', re.S)
DIRECTIVE = re.compile(r'^#(?:[^\n\\]|\\.)*', re.M | re.S)
MACRO = re.compile(r'^#(define|undef) (\w+)', re.M)

# A token outside of all brackets, with its place; a closing one has the tokens inside of the pair.
Token = collections.namedtuple('Token', 'place text inside')


def is_name(token):
    return re.fullmatch(r'[A-Za-z_]\w*', token) is not None


def tokens_outside(text):
    code = DIRECTIVE.sub(lambda match: ' ' * len(match[0]), text)
    depth, inside = 0, []
    for match in TOKEN.finditer(code):
        if match['blank']:
            continue
        depth -= match[0] in ')}]'
        if depth == 0:
            yield Token(match.start(), match[0], inside)
            inside = []
        else:
            inside.append(match[0])
        depth += match[0] in '({['


def ends_declaration(tokens):
    texts = [token.text for token in tokens]
    if texts[-1] == '}':
        return ')' in texts and '=' not in texts  # the body of a function
    return texts[-1] == ';' or (texts[0].isupper() and texts[1:] == ['(', ')'])  # a macro's call


def declarations(text):
    tokens = []
    for token in tokens_outside(text):
        tokens.append(token)
        if ends_declaration(tokens):
            yield tokens
            tokens = []


def constants(inside):
    """The names in the braces of an enum."""
    return [name for before, name in zip([','] + inside, inside) if before == ',' and is_name(name)]


def names_of(declaration, macros):
    """What a declaration gives names to: functions, objects, types, tags and constants."""
    texts = [token.text for token in declaration]
    ends = {';', ',', '=', '[', '__attribute__'} | ({'('} if texts[0] != 'typedef' else set())
    value = False
    for before, token, after in zip([''] + texts, declaration, texts[1:] + ['']):
        value = token.text == '=' or (value and token.text not in ',;')
        if token.text == '}' and 'enum' in texts[:2]:
            yield from constants(token.inside)
        elif token.text == ')' and texts[0] in macros and len(texts) == 3:
            yield from token.inside
        elif token.text == ')' and texts[0] == 'typedef' and token.inside[0] == '*':
            yield token.inside[1]
        elif before in ('struct', 'union', 'enum') and after == '{':
            yield token.text
        elif before and not value and after in ends:
            yield token.text


def own_names(text):
    """The names that a file defines for itself, macros aside."""
    macros = {name for _, name in MACRO.findall(text)}
    names = {name for each in declarations(text) for name in names_of(each, macros)}
    names |= set(re.findall(r'(?<=\w )(\w+)##', text))  # a macro makes names that begin like this
    return {name for name in names - macros - {'__attribute__'}
            if is_name(name) and not name.lower().startswith('glow_')}


def rename(text, names, prefix):
    """Puts the prefix in front of these names, except where they are members of structs."""
    matches = list(TOKEN.finditer(text))
    code = ['', ''] + [match[0] for match in matches if not match['blank']] + ['']
    out, at, in_struct = [], 1, [False]
    for match in matches:
        token = match[0]
        if not match['blank']:
            at += 1
            if token == '{':
                in_struct.append('struct' in code[at - 2:at] or 'union' in code[at - 2:at])
            elif token == '}':
                in_struct.pop()
            declared = code[at + 1] in (';', ',', '[', ')') and code[at - 1] not in ('{', ';')
            member = code[at - 1] in ('.', '->') or (in_struct[-1] and declared)
            token = prefix + token if token in names and not member else token
        out.append(token)
    return ''.join(out)


def end_macros(text):
    """#undef for each macro that the text leaves defined."""
    last = {name: kind for kind, name in MACRO.findall(text)}
    return ''.join(f'#undef {name}\n' for name, kind in last.items() if kind == 'define')


def make_static(text):
    """Gives what the files share no symbol; arrays whose size is not known keep theirs."""
    for declaration in reversed(list(declarations(text))):
        texts = [token.text for token in declaration]
        shared = any(name.startswith('glow__') and after == '('
                     for name, after in zip(texts, texts[1:]))
        if shared and texts[-1] == ';' and texts[0] not in ('static', 'typedef'):
            place = declaration[0].place
            text = text[:place] + 'static ' + text[place:]
    return re.sub(r'\bextern const (?=\w+ glow__[^;\[]+;)|^const (?=\w+ glow__\w+ =)',
                  'static const ', text, flags=re.M)


# ---- files ---------------------------------------------------------------------------------------


def is_template(path):
    text = path.read_text()
    return not re.search(r'^#ifndef \w+_H$', text, re.M) or 'SIMD_WIDTH' in text


class Files:
    """The texts of files, each behind the headers that it includes."""

    def __init__(self):
        self.texts, self.system = {}, set()

    def add(self, path):
        if path not in self.texts:
            text = self.without_includes(path)
            self.texts[path] = re.sub(r'\n{3,}', '\n\n', text)

    def without_includes(self, path):
        """The text of a file, with its templates in it. Headers of the system are noted, except
        inside of an #if, where they stay."""
        lines = []
        depth = 0 if path.suffix == '.c' or is_template(path) else -1  # its include guard
        for line in path.read_text().splitlines(keepends=True):
            depth += line.startswith('#if') - line.startswith('#endif')
            include = re.match('#include ([<"])(.*)[>"]', line)
            header = include and (INCLUDE if include[1] == '<' else LIB) / include[2]
            if not include or (depth and not header.exists()):
                lines.append(line)
            elif not header.exists():
                self.system.add(include[2])
            elif is_template(header):
                lines.append(self.without_includes(header))
            else:
                self.add(header)
        return ''.join(lines)

    def includes(self):
        return ''.join(f'#include <{name}>\n' for name in sorted(self.system)) + '\n'


def banner(path):
    name = path.relative_to(ROOT).as_posix()
    return f'\n/* ==== {name} {"=" * (88 - len(name))} */\n\n'


def version():
    base = (INCLUDE / 'glow/base.h').read_text()
    return '.'.join(re.search(rf'VERSION_{part} (\d+)', base)[1]
                    for part in ('MAJOR', 'MINOR', 'PATCH'))


def comment(text):
    lines = (text.replace('VERSION', version()) + '\n' + LICENSE).strip().split('\n')
    return '/* ' + '\n'.join(' * ' + line if line else ' *' for line in lines)[3:] + ' */\n'


# ---- glow.h --------------------------------------------------------------------------------------

H_COMMENT = """\
libglow VERSION, normalizing flows for C programs: all of its headers in one, for glow.c. Written
by packaging/amalgamate.py of the project.
"""


def public_headers():
    headers = Files()
    for folder, name in (('glow', 'public_headers'), ('glow/sys', 'sys_headers')):
        for path in meson_list(name):
            headers.add(INCLUDE / folder / path)
    del headers.texts[INCLUDE / 'glow/glow.h']  # it only includes the others
    return headers


def header_file(headers):
    parts = [banner(path) + text for path, text in headers.texts.items()]
    return ''.join([comment(H_COMMENT), '#ifndef GLOW_ONE_FILE_H\n#define GLOW_ONE_FILE_H\n\n',
                    headers.includes(), *parts, '\n#endif\n'])


# ---- glow.c --------------------------------------------------------------------------------------

C_COMMENT = """\
libglow VERSION, normalizing flows for C programs, in one file. Written by packaging/amalgamate.py
of the project, from its lib/: change it there.

    cc -O3 -c glow.c
    cc program.c glow.o -lm -pthread

It is C11 for gcc and clang, on POSIX systems. Kernels for AVX2, AVX-512, AMX and NEON are in it,
and the best that the CPU has are taken at run time; other CPUs, and gcc before version 12, use
those in plain C. No macro has to be defined. These may be, for this file alone:

GLOW_NO_FILES      leaves out what reads and writes files: functions that would are still there,
                   and return GLOW_E_UNSUPPORTED
GLOW_NO_SIMD       leaves out the kernels for vector instruction sets
GLOW_BLAS_LIBRARY  the name of a library, such as "libopenblas.so.0", that is loaded when a
                   context asks for the kernels "cblas"; nothing is linked, or loaded otherwise
GLOW_DEBUG         error texts end with file and line, and handles that were destroyed are
                   recognised
"""

C_START = """\
#ifdef __cplusplus
#error "glow.c is C: compile it with a C compiler, and include glow.h in C++"
#endif
#ifndef __GNUC__
#error "glow.c needs gcc or clang"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#ifndef GLOW_ALLOW_DEPRECATED
#define GLOW_ALLOW_DEPRECATED
#endif
#ifndef GLOW_NO_FILES
#define GLOW_HAVE_FILES
#endif

#include "glow.h"

"""

# What the library's own build says by flags.
C_SETTINGS = """\
#if defined(__has_builtin) && !defined(GLOW_NO_SIMD)
#if __has_builtin(__builtin_shufflevector)
KERNELS
#endif
#endif
#ifdef GLOW_HAVE_X86_KERNELS
#include <immintrin.h>
#endif

/* Products and sums become one operation in kernels, and nowhere else: so all compilers give the
 * same bits. */
#ifdef __clang__
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off", "no-math-errno")
/* Texts are cut on purpose, and these two take what cannot happen together for what can. */
#pragma GCC diagnostic ignored "-Wformat-truncation"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
/* Some functions are for parts that may be left out, and files do not know each other's names. */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
"""

KERNELS_START = """\
#ifdef __clang__
CLANG_TARGET#pragma clang fp contract(fast)
#else
#pragma GCC push_options
GCC_TARGET#pragma GCC optimize("fp-contract=fast")
#ifdef __OPTIMIZE__
#pragma GCC optimize("O3")
#endif
#endif

"""

KERNELS_END = """\

#ifdef __clang__
#pragma clang fp contract(off)
CLANG_END#else
#pragma GCC pop_options
#endif
"""


def kernel_macros(kernels):
    """Defines what says which kernels there are. Those with flags are for x86, others for ARM."""
    conditions = {each.macro: 'defined(__x86_64__)' if each.flags else 'defined(__aarch64__)'
                  for each in kernels}
    if 'GLOW_HAVE_AMX' in conditions:
        conditions['GLOW_HAVE_AMX'] += ' && defined(__linux__)'  # which is asked for the tiles
    return '\n'.join(f'#if {condition}\n#define {macro}\n#endif'
                     for macro, condition in conditions.items())


def for_instruction_set(text, flags):
    """The text between pragmas that do what the flags do."""
    features = [flag[2:] for flag in flags]
    for_clang = ','.join(feature for feature in features if '=' not in feature)
    clang = (f'#pragma clang attribute push(__attribute__((target("{for_clang}"))), '
             'apply_to = function)\n')
    gcc = f'#pragma GCC target("{",".join(features)}")\n'
    start = KERNELS_START.replace('CLANG_TARGET', clang if flags else '')
    end = KERNELS_END.replace('CLANG_END', '#pragma clang attribute pop\n' if flags else '')
    return start.replace('GCC_TARGET', gcc if flags else '') + text + end


def conditions_of_sources(kernels):
    """Each source, with the condition under which it belongs to the library, or None."""
    conditions = {path: CONDITIONS.get(path) for path in meson_list('glow_sources')}
    conditions.update((path, 'defined(GLOW_HAVE_FILES)') for path in meson_list('file_sources'))
    conditions.update((path, f'defined({each.macro})') for each in kernels for path in each.files)
    return {LIB / path: condition for path, condition in conditions.items()}


def own_prefix(path):
    return '_'.join(path.relative_to(LIB).with_suffix('').parts) + '_'


def with_own_names(texts):
    """Names that several sources define become different ones, and macros end with their source."""
    names = {path: own_names(text) for path, text in texts.items() if path.suffix == '.c'}
    count = collections.Counter(name for each in names.values() for name in each)
    for path, own in names.items():
        shared = {name for name in own if count[name] > 1}
        texts[path] = rename(texts[path], shared, own_prefix(path)) + end_macros(texts[path])


def source_file(headers):
    kernels = list(meson_kernels())
    conditions = conditions_of_sources(kernels)
    sources = Files()
    sources.texts.update(headers.texts)
    for path, condition in list(conditions.items()):
        before = set(sources.texts)
        sources.add(path)
        conditions.update((new, condition) for new in sources.texts.keys() - before)
    texts = {path: make_static(text) for path, text in sources.texts.items()
             if path not in headers.texts}
    with_own_names(texts)
    for each in kernels:
        for path in each.files:
            texts[LIB / path] = for_instruction_set(texts[LIB / path], each.flags)
    parts = []
    for path, text in texts.items():
        condition = conditions.get(path)
        parts.append(banner(path) + (f'#if {condition}\n{text}#endif\n' if condition else text))
    return ''.join([comment(C_COMMENT), C_START, sources.includes(),
                    C_SETTINGS.replace('KERNELS', kernel_macros(kernels), 1), *parts])


def main():
    if len(sys.argv) != 2:
        sys.exit('usage: amalgamate.py FOLDER')
    folder = pathlib.Path(sys.argv[1])
    headers = public_headers()
    (folder / 'glow.h').write_text(header_file(headers))
    (folder / 'glow.c').write_text(source_file(headers))


main()
