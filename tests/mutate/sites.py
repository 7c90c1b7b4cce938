"""Where a fault can be sown in a C file, and what it is.

A fault is one small change that compiles: another constant, sign, operator or comparison, `&&` for
`||`, or a statement left out. Left alone are comments, strings, preprocessor lines other than the
values of macros, declarations, static assertions, and the arguments of calls that only make a
message or a line of the log. The text is read as clang-format lays it out: an operator with blanks
on both sides has two operands. SPDX-License-Identifier: MIT
"""
import re

TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<comment>/\*.*?\*/|//[^\n]*)"
    r"|(?P<string>[uUL]?\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
    r"|(?P<number>(?:0[xX][0-9a-fA-F.]+(?:[pP][+-]?\d+)?"
    r"|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[uUlLfF]*)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<op><<=|>>=|\.\.\.|->|\+\+|--|&&|\|\||[-+*/%&|^<>=!]=|<<|>>|.)", re.S)

TEXTS = {"glow_error", "glow__error_prefix", "glow_context_log", "static_assert", "_Static_assert",
         "sizeof", "offsetof"}
OTHER = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-", "-": "+",
         "*": "/", "/": "*", "%": "*", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "^": "|",
         "&&": "||", "||": "&&", "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "|=": "&=",
         "&=": "|=", "<<=": ">>=", ">>=": "<<=", "++": "--", "--": "++"}
KINDS = {"comparison": {"<", "<=", ">", ">=", "==", "!="}, "logic": {"&&", "||"}}
# What begins a statement that must stay: control flow, labels, declarations.
KEPT = {"return", "if", "for", "while", "do", "switch", "case", "default", "else", "goto", "struct",
        "enum", "union", "static", "const", "typedef", "extern", "void", "int", "char", "float",
        "double", "bool", "unsigned", "signed", "long", "short", "size_t"}


class Token:
    def __init__(self, kind, text, at):
        self.kind, self.text, self.at = kind, text, at


def tokens_of(text):
    return [Token(m.lastgroup, m.group(), m.start()) for m in TOKEN.finditer(text)]


def directives(text):
    """Spans of preprocessor lines, with their continuations; (start, end, where a value begins)."""
    for m in re.finditer(r"^[ \t]*#(?:\\\n|[^\n])*", text, re.M):
        value = re.match(r"[ \t]*#[ \t]*define[ \t]+\w+(?:\([^)]*\))?[ \t]", m.group())
        yield m.start(), m.end(), m.start() + value.end() if value else m.end()


def number(text):
    """Another constant in the place of this one: one more, one per cent more, or ten times it."""
    body = text.rstrip("uUlL" if re.match("0[xX][^pP]*$", text) else "uUlLfF")
    suffix = text[len(body):]
    if re.fullmatch(r"\d+|0[xX][0-9a-fA-F]+", body):
        value = int(body, 8 if re.fullmatch(r"0\d+", body) else 0)
        return [f"{n}{suffix}" for n in sorted({value + 1, max(value - 1, 0)} - {value})]
    if "p" in body.lower():  # 0x1p-24: half or twice as large
        head, power = re.split("[pP]", body)
        return [f"{head}p{int(power) + step}{suffix}" for step in (1, -1)]
    value = float(body)
    return [real(n) + suffix for n in ((value * 1.01, value * 10) if value else (1.0,))]


def real(value):
    text = f"{value:.12g}"
    return text if re.search("[.e]", text) else text + ".0"


def depths(code):
    """For each token: is it inside a function or an initialiser (and not in a text's arguments)?"""
    inside, stack, texts = [], [], []
    for i, token in enumerate(code):
        before = code[i - 1].text if i else ""
        if token.text == "(":
            stack.append("(")
            texts.append(before in TEXTS)
        elif token.text == "{":
            body = before in (")", "=", "else", "do", ";", "{", "}", ",", "(", ":") or (
                i > 1 and code[i - 2].text == "enum") or before == "enum"
            outer = all(s != "type" for s in stack)
            value = bool(stack) and stack[-1] in ("body", "value")
            stack.append("value" if before == "=" or value else
                         "body" if body and outer else "type")
            texts.append(False)
        elif token.text in ")}" and stack:
            stack.pop()
            texts.pop()
        inside.append(bool(stack) and "type" not in stack and any(s != "(" for s in stack) and
                      not any(texts))
    return inside


def statements(code, inside):
    """(first, last) tokens of statements that can be left out: calls, assignments, steps, jumps."""
    paren = 0
    for i, token in enumerate(code):
        paren += (token.text == "(") - (token.text == ")")
        starts = i and (code[i - 1].text in (";", "{", "}", "else") or
                        (code[i - 1].text == ")" and closes_control(code, i - 1)))
        if not starts or not inside[i] or paren != (token.text == "("):
            continue
        if token.text in KEPT | TEXTS or token.kind not in ("name", "op") or token.text in "};{)":
            continue
        end = end_of_statement(code, i)
        if end and not is_declaration(code, i, end):
            yield i, end


def closes_control(code, i):
    depth = 0
    while i >= 0:
        depth += (code[i].text == ")") - (code[i].text == "(")
        if not depth:
            return code[i - 1].text in ("if", "for", "while", "switch")
        i -= 1
    return False


def end_of_statement(code, i):
    depth = 0
    for j in range(i, len(code)):
        text = code[j].text
        depth += (text in "([{") - (text in ")]}")
        if depth < 0 or (text == ";" and not depth):
            return j if text == ";" else None
    return None


def is_declaration(code, i, end):
    """`type name`, `type *name`; an expression never begins like that in this layout."""
    if code[i].kind != "name" or i + 1 > end:
        return False
    after = code[i + 1]
    if after.kind == "name":
        return True
    return after.text == "*" and code[i + 2].at == after.at + 1 and after.at > code[i].at + len(
        code[i].text)


def sites(text):
    """All faults of a file, in order: (offset, length, replacement, kind)."""
    spans = list(directives(text))
    everything = tokens_of(text)
    lines = {i for s, e, v in spans for i in range(s, e)}
    code = [t for t in everything if t.kind not in ("space", "comment") and t.at not in lines]
    inside = depths(code)
    found = [site for i, t in enumerate(code) if inside[i] for site in changes(text, code, i)]
    for start, end, value in spans:  # the values of macros, as far as they are expressions
        body = [t for t in tokens_of(text[:end]) if t.at >= value and t.kind not in (
            "space", "comment")] if value < end else []
        found += [site for i in range(len(body)) for site in changes(text, body, i)]
    for first, last in statements(code, inside):
        at, end = code[first].at, code[last].at + 1
        blank = ";" + "\n" * text.count("\n", at, end)
        found.append((at, end - at, blank, "removed"))
    return sorted(set(found))


def changes(text, code, i):
    token, at, size = code[i], code[i].at, len(code[i].text)
    before = code[i - 1] if i else None
    spaced = at and text[at - 1].isspace() and text[at + size:at + size + 1].isspace()
    if token.kind == "number":
        return [(at, size, other, "constant") for other in number(token.text)]
    if token.kind != "op":
        return []
    if token.text in ("++", "--") or (token.text in OTHER and spaced):
        kind = next((k for k, ops in KINDS.items() if token.text in ops), "operator")
        return [(at, size, OTHER[token.text], kind)]
    operand = before and (before.kind in ("name", "number") or before.text in ")]")
    if token.text == "-" and not spaced and (not operand or before.text in ("return", "case")):
        return [(at, size, "", "sign")]
    if token.text == "!" and not spaced:
        return [(at, size, "", "logic")]
    return []
