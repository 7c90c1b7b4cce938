"""The gradients of docs/mathematics.md are those of its functions, by differences at random places.

    python3 mathematics.py SOURCE_ROOT

Formulas in `code` of its tables are read from there and computed. Those of matrices and splines,
which stand there as indented lines, are written out here. SPDX-License-Identifier: MIT
"""

import math
import pathlib
import random
import re
import sys

text = (pathlib.Path(sys.argv[1]) / "docs/mathematics.md").read_text()
rng = random.Random(7)
print("seed 7")
failed = checked = 0
FUNCTIONS = {name: getattr(math, name) for name in ("exp", "log", "tanh", "pi")}


def close(what, found, wanted, bound=1e-6):
    global failed, checked
    checked += 1
    if not abs(found - wanted) <= bound * (1 + abs(wanted)):
        failed += 1
        print(f"{what}: {found}, by differences {wanted}")


def slope(function, at, step=1e-5):
    return (function(at + step) - function(at - step)) / (2 * step)


def value(formula, names):
    return eval(formula, {"__builtins__": {}}, {**FUNCTIONS, **names})


def rows(columns):
    """Rows of the tables whose header begins with this, their cells without marks."""
    inside = False
    for line in text.split("\n"):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| " + columns):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            yield cells


def codes(cell):
    return re.findall(r"`([^`]+)`", cell)


def random_names():
    names = {
        name: rng.uniform(-1, 1) for name in ("b", "s", "m", "t", "g", "k", "raw", "dy", "l", "q")
    }
    names.update(
        x=rng.uniform(-0.4, 0.4), z=rng.uniform(-2, 2), d=rng.uniform(0.5, 2), a=0.05, f=0.3
    )
    return names


# ---- tables --------------------------------------------------------------------------------------


def check_layer(cells):
    name, (y,), (logs,), (dx,), parameters = cells[0], *map(codes, cells[1:4]), codes(cells[4])
    names = random_names()
    if name == "logit":
        names["g"] = value(logs, names)
    names["y"] = value(y, names)

    def objective(of, at):
        moved = {**names, of: at}
        return names["dy"] * value(y, moved) + names["l"] * value(logs, moved)

    own = slope(lambda x: value(y, {**names, "x": x}), names["x"])
    close(f"{name}: log dy/dx", value(logs, names), math.log(abs(own)))
    close(f"{name}: dx", value(dx, names), slope(lambda x: objective("x", x), names["x"]))
    for formula in parameters:
        of, gradient = formula.split(" = ")
        of = of[1:]
        close(
            f"{name}: d{of}", value(gradient, names), slope(lambda v: objective(of, v), names[of])
        )


def check_scale(cells):
    name, (g,), (derivative,) = cells[0], codes(cells[1]), codes(cells[2])
    names = random_names()
    names["s"] = math.exp(value(g, names))
    wanted = slope(lambda raw: value(g, {**names, "raw": raw}), names["raw"])
    close(f"{name}: g'(raw)", value(derivative, names), wanted)


def check_prior(cells):
    name, (log_p,), (dz,), parameters = cells[0], codes(cells[1]), codes(cells[2]), codes(cells[3])
    names = random_names()

    def with_e(names):
        return {**names, "e": (names["z"] - names["m"]) / math.exp(names["s"])}

    def objective(of, at):
        return names["q"] * value(log_p, with_e({**names, of: at}))

    for formula in ["dz = " + dz, *parameters]:
        of, gradient = formula.split(" = ")
        of = of[1:]
        found = value(gradient, with_e(names))
        close(f"{name}: d{of}", found, slope(lambda v: objective(of, v), names[of]))
    total = (
        sum(math.exp(value(log_p, with_e({**names, "z": v / 20}))) for v in range(-2000, 2000)) / 20
    )
    close(f"{name}: its integral", total, 1)


# ---- matrices, by hand ---------------------------------------------------------------------------


def product(a, b):
    return [
        [sum(a[i][k] * b[k][j] for k in range(len(b))) for j in range(len(b[0]))]
        for i in range(len(a))
    ]


def transpose(a):
    return [list(row) for row in zip(*a)]


def determinant(a):
    if len(a) == 1:
        return a[0][0]
    minor = lambda j: [row[:j] + row[j + 1 :] for row in a[1:]]  # noqa: E731
    return sum((-1) ** j * a[0][j] * determinant(minor(j)) for j in range(len(a)))


def inverse(a):
    n = len(a)
    minor = lambda i, j: [r[:j] + r[j + 1 :] for k, r in enumerate(a) if k != i]  # noqa: E731
    whole = determinant(a)
    return [
        [(-1) ** (i + j) * determinant(minor(j, i)) / whole for j in range(n)] for i in range(n)
    ]


def random_matrix(rows_, columns):
    return [[rng.uniform(-1, 1) for _ in range(columns)] for _ in range(rows_)]


def each_entry(what, matrix, gradient, objective, wanted=lambda i, j: True):
    for i in range(len(matrix)):
        for j in range(len(matrix[0])):

            def at(v, i=i, j=j):
                kept, matrix[i][j] = matrix[i][j], v
                result = objective()
                matrix[i][j] = kept
                return result

            if wanted(i, j):
                close(f"{what}[{i}, {j}]", gradient[i][j], slope(at, matrix[i][j]))


def inner(a, b):
    return sum(u * v for r, s in zip(a, b) for u, v in zip(r, s))


def check_convolution():
    pixels, l = 4, 0.7
    w, x, dy = random_matrix(3, 3), random_matrix(3, pixels), random_matrix(3, pixels)
    objective = lambda: inner(product(w, x), dy) + l * pixels * math.log(
        abs(determinant(w))
    )  # noqa: E731
    from_data, back = product(dy, transpose(x)), transpose(inverse(w))
    dw = [[from_data[i][j] + l * pixels * back[i][j] for j in range(3)] for i in range(3)]
    each_entry("1x1 convolution: dW", w, dw, objective)
    each_entry("1x1 convolution: dx", x, product(transpose(w), dy), objective)


def check_lu():
    pixels, l, order, signs = 4, 0.7, [2, 0, 1], [1, -1, 1]
    lower, upper, logs = random_matrix(3, 3), random_matrix(3, 3), random_matrix(1, 3)
    x, dy = random_matrix(3, pixels), random_matrix(3, pixels)
    left = lambda: [
        [lower[i][j] if j < i else float(i == j) for j in range(3)] for i in range(3)
    ]  # noqa: E731

    def right():
        scale = [signs[i] * math.exp(logs[0][i]) for i in range(3)]
        return [[upper[i][j] if j > i else scale[i] * (i == j) for j in range(3)] for i in range(3)]

    def objective():
        m = product(left(), right())
        return inner(product([m[i] for i in order], x), dy) + l * pixels * sum(logs[0])

    dw, dm = product(dy, transpose(x)), [None] * 3
    for row, of in enumerate(order):
        dm[of] = dw[row]
    of_right = product(transpose(left()), dm)
    each_entry("dL", lower, product(dm, transpose(right())), objective, lambda i, j: j < i)
    each_entry("dU", upper, of_right, objective, lambda i, j: j > i)
    dlogs = [[of_right[i][i] * right()[i][i] + l * pixels for i in range(3)]]
    each_entry("dlog_s", logs, dlogs, objective)


def check_batchnorm():
    samples, image, epsilon = 3, 2, 1e-4
    n, ls = samples * image, [0.3, -0.2, 0.9]
    x, dy = random_matrix(1, n), random_matrix(1, n)

    def normalised():
        mean = sum(x[0]) / n
        r = math.sqrt(sum((v - mean) ** 2 for v in x[0]) / n + epsilon)
        return [(v - mean) / r for v in x[0]], r

    def objective():
        y, r = normalised()
        return inner([y], dy) - image * sum(ls) * math.log(r)

    y, r = normalised()
    mean, with_y = sum(dy[0]) / n, inner([y], dy) / n
    dx = [
        [(dy[0][i] - mean - y[i] * with_y) / r - image * sum(ls) / n * y[i] / r for i in range(n)]
    ]
    each_entry("batch normalisation: dx", x, dx, objective)


def check_weight_norm():
    g, v, dw = [[0.8]], random_matrix(1, 4), random_matrix(1, 4)
    size = lambda: math.sqrt(inner(v, v))  # noqa: E731
    objective = lambda: g[0][0] * inner(dw, v) / size()  # noqa: E731
    dv = [[g[0][0] / size() * (dw[0][i] - v[0][i] * inner(dw, v) / size() ** 2) for i in range(4)]]
    each_entry("weight norm: dg", g, [[inner(dw, v) / size()]], objective)
    each_entry("weight norm: dv", v, dv, objective)


def check_zero_convolution():
    c, b, logs, dy = random_matrix(1, 4), [[0.2]], [[0.3]], random_matrix(1, 4)
    y = lambda: [[(u + b[0][0]) * math.exp(3 * logs[0][0]) for u in c[0]]]  # noqa: E731
    objective = lambda: inner(y(), dy)  # noqa: E731
    dc = [[u * math.exp(3 * logs[0][0]) for u in dy[0]]]
    each_entry("zero convolution: dc", c, dc, objective)
    each_entry("zero convolution: db", b, [[sum(dc[0])]], objective)
    each_entry("zero convolution: dlogs", logs, [[3 * inner(dy, y())]], objective)


def check_spline():
    w, h, d0, d1, dy, l = 0.8, 1.1, 0.6, 1.7, 0.4, -0.3
    s = h / w

    def parts(x):
        t = x / w
        n = h * (s * t * t + d0 * t * (1 - t))
        d = s + (d1 + d0 - 2 * s) * t * (1 - t)
        m = d1 * t * t + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2
        return t, n, d, m

    def objective(x):
        _, n, d, m = parts(x)
        return dy * n / d + l * math.log(s * s * m / d**2)

    for x in (0.1, 0.4, 0.7):
        t, n, d, m = parts(x)
        m_t, d_t = 2 * (d1 * t + s * (1 - 2 * t) - d0 * (1 - t)), (d1 + d0 - 2 * s) * (1 - 2 * t)
        close("spline: dy/dx", s * s * m / d**2, slope(lambda v: parts(v)[1] / parts(v)[2], x))
        dx = dy * s * s * m / d**2 + l * (m_t / m - 2 * d_t / d) / w
        close("spline: dx", dx, slope(objective, x))


for _ in range(20):
    for cells in rows("layer | y"):
        check_layer(cells)
    for cells in rows("scale function"):
        check_scale(cells)
    for cells in rows("density"):
        check_prior(cells)
for check in (
    check_convolution,
    check_lu,
    check_batchnorm,
    check_weight_norm,
    check_zero_convolution,
    check_spline,
):
    check()
print(f"{checked} formulas, {failed} failed")
sys.exit(1 if failed or checked < 400 else 0)
