"""Minimax coefficients of blockwise_kernels::math (needs mpmath). Prints Rust constants and the error of each fit.

`remez(g, w, a, b, n)` finds the polynomial p with n coefficients that minimizes max |p(z) - g(z)| * w(z) on [a, b] by
Remez' second algorithm (E. Remez, 1934), as described in J.-M. Muller, "Elementary Functions", chapter 3.
"""

from mpmath import mp, mpf, lu_solve, matrix, cos, sin, tan, exp, log, sqrt, pi, atan, asin, tanh, cosh, sinh, expm1
import struct
import sys

mp.prec = 200


def remez(g, w, a, b, n, rounds=12):
    a, b = mpf(a), mpf(b)
    xs = [(a + b) / 2 - (b - a) / 2 * cos(pi * (2 * i + 1) / (2 * n + 2)) for i in range(n + 1)]
    xs = [x + (b - a) / 1000 if w(x) == 0 else x for x in xs]
    dense = [(a + b) / 2 - (b - a) / 2 * cos(pi * i / (24 * n)) for i in range(24 * n + 1)]
    gs, ws = [g(x) for x in dense], [w(x) for x in dense]
    for _ in range(rounds):
        A = matrix(n + 1, n + 1)
        rhs = matrix(n + 1, 1)
        for i, x in enumerate(xs):
            for j in range(n):
                A[i, j] = x**j * w(x)
            A[i, n] = (-1) ** i
            rhs[i] = g(x) * w(x)
        sol = lu_solve(A, rhs)
        c = [sol[j] for j in range(n)]
        err = [(horner(c, x) - gx) * wx for x, gx, wx in zip(dense, gs, ws)]
        peaks = []
        for i, e in enumerate(err):
            if e == 0:
                continue
            if peaks and (e > 0) == (err[peaks[-1]] > 0):
                if abs(e) > abs(err[peaks[-1]]):
                    peaks[-1] = i
            else:
                peaks.append(i)
        if len(peaks) < n + 1:
            break
        while len(peaks) > n + 1:
            peaks.pop(0 if abs(err[peaks[0]]) < abs(err[peaks[-1]]) else -1)
        xs = [dense[i] for i in peaks]
        top, low = max(abs(err[i]) for i in peaks), min(abs(err[i]) for i in peaks)
        if top < low * mpf("1.02"):
            break
    return c, max(abs(e) for e in err)


def horner(c, x):
    r = mpf(0)
    for k in reversed(c):
        r = r * x + k
    return r


def f32(x):
    return struct.unpack("<f", struct.pack("<f", float(x)))[0]


def shortest(x):
    """The fewest digits that read back as the same f32."""
    return next(t for t in (f"{x:.{n}e}" for n in range(10)) if f32(float(t)) == x)


def show(name, ty, g, w, a, b, n):
    c, e = remez(g, w, a, b, n)
    print(f"// max weighted error 2^{float(log(e, 2)):.1f}")
    print(f"const {name}: [{ty}; {n}] = [")
    for k in c:
        if ty == "f32":
            print(f"    {shortest(f32(k))},")
        else:
            print(f"    {float(k)!r},")
    print("];")
    sys.stdout.flush()


def taylor(f, z, small, series):
    """f(z), or its series near 0, where the closed form cancels."""
    return series(z) if abs(z) < small else f(z)


one = lambda z: mpf(1)
ln2, q = log(2), pi / 4 * mpf("1.005")
S = mpf("1e-8")
H = ln2 / 2 * mpf("1.002")
sm = lambda z: sqrt(z) if z > 0 else mpf(0)

# The functions of z = r^2 below are fitted relative to the whole result.
sinh_ = lambda z: taylor(lambda z: (sinh(sqrt(z)) / sqrt(z) - 1) / z, z, S, lambda z: mpf(1) / 6 + z / 120)
cosh_ = lambda z: taylor(lambda z: (cosh(sqrt(z)) - 1) / z, z, S, lambda z: mpf(1) / 2 + z / 24)
sin_ = lambda z: taylor(lambda z: (sin(sqrt(z)) / sqrt(z) - 1) / z, z, S, lambda z: -mpf(1) / 6 + z / 120)
cos_ = lambda z: taylor(lambda z: (cos(sqrt(z)) - 1 + z / 2) / z**2, z, S, lambda z: mpf(1) / 24 - z / 720)
atan_ = lambda z: taylor(lambda z: (atan(sqrt(z)) / sqrt(z) - 1) / z, z, S, lambda z: -mpf(1) / 3 + z / 5)
asin_ = lambda z: taylor(lambda z: (asin(sqrt(z)) / sqrt(z) - 1) / z, z, S, lambda z: mpf(1) / 6 + z * 3 / 40)
tanh_ = lambda z: taylor(lambda z: (tanh(sqrt(z)) / sqrt(z) - 1) / z, z, S, lambda z: -mpf(1) / 3 + z * 2 / 15)
# log((1+s)/(1-s)) = 2s + s^3 L(s^2), and L = 2/3 + z M(z)
L_ = lambda z: taylor(lambda z: (log((1 + sqrt(z)) / (1 - sqrt(z))) / sqrt(z) - 2) / z, z, S, lambda z: mpf(2) / 3 + z * 2 / 5)
M_ = lambda z: taylor(lambda z: (L_(z) - mpf(2) / 3) / z / ln2, z, mpf("1e-6"), lambda z: (mpf(2) / 5 + 2 * z / 7 + 2 * z**2 / 9) / ln2)
expq = lambda r: taylor(lambda r: (exp(r) - 1 - r) / r**2, r, S, lambda r: mpf(1) / 2 + r / 6)
logp = lambda f: taylor(lambda f: (log(1 + f) - f + f * f / 2) / f**3, f, mpf("1e-7"), lambda f: mpf(1) / 3 - f / 4)

ZS = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2 * mpf("1.001")
ZA = (sqrt(2) - 1) ** 2 * mpf("1.001")


def main(which):
    table = {
        "f64": [
            ("SINH", "f64", sinh_, lambda z: z, 0, H**2, 5),
            ("COSH", "f64", cosh_, lambda z: z, 0, H**2, 6),
            ("LOG", "f64", L_, lambda z: z / 2, 0, ZS, 7),
            ("LOG2_TAIL", "f64", M_, lambda z: z * z / 2 * ln2, 0, ZS, 8),
            ("SIN", "f64", sin_, lambda z: z, 0, q**2, 6),
            ("COS", "f64", cos_, lambda z: z * z, 0, q**2, 6),
            ("ATAN", "f64", atan_, lambda z: z, 0, ZA, 11),
            ("ASIN", "f64", asin_, lambda z: z, 0, mpf("0.2501"), 13),
            ("CBRT", "f64", lambda x: x ** -(mpf(1) / 3), lambda x: x ** (mpf(1) / 3), mpf("0.999"), mpf("2.001"), 5),
        ],
        "f32": [
            ("EXP", "f32", expq, lambda r: r * r / exp(r), -H, H, 5),
            ("LOG", "f32", logp, lambda f: abs(f**3 / log(1 + f)) if f else mpf(0), sqrt(mpf(1) / 2) - 1, sqrt(2) - 1, 9),
            ("SIN", "f32", sin_, lambda z: z, 0, q**2, 3),
            ("COS", "f32", cos_, lambda z: z * z, 0, q**2, 3),
            ("TANH", "f32", tanh_, lambda z: z, 0, mpf("0.63") ** 2, 5),
        ],
        "medium": [
            ("EXP", "f64", expq, lambda r: r * r / abs(expm1(r)) if r else mpf(0), -H, H, 6),
            ("LOG", "f64", L_, lambda z: z / 2, 0, ZS, 4),
            ("SIN", "f64", sin_, lambda z: z, 0, q**2, 4),
            ("COS", "f64", cos_, lambda z: z * z, 0, q**2, 4),
            ("ATAN", "f64", atan_, lambda z: z, 0, ZA, 6),
            ("ASIN", "f64", asin_, lambda z: z, 0, mpf("0.2501"), 7),
        ],
    }
    for name in which or table:
        print(f"// {name}")
        for row in table[name]:
            show(*row)


if __name__ == "__main__":
    main(sys.argv[1:])
