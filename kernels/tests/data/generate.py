"""Writes math_f32.bin and math_f64.bin: arguments and correctly rounded results of the elementary functions.

Needs mpmath (gmpy2 makes it quick). A file is a sequence of functions: length of the name (u8), name, number of
operands (u8), number of records (u32); a record is the operands' bits, the bits of the nearest float to the exact
result, and the exact result minus that float in units of its last place, times 65535 (i16). Little-endian.
"""

import os
import random
import struct

from mpmath import mp, mpf
import mpmath as m

INF, NAN = float("inf"), float("nan")


class Format:
    def __init__(self, name, digits, emin, emax, code, ints):
        self.name, self.digits, self.emin, self.emax, self.code, self.ints = name, digits, emin, emax, code, ints

    def bits(self, x):
        return struct.unpack("<" + self.ints, struct.pack("<" + self.code, x))[0]

    def value(self, bits):
        return struct.unpack("<" + self.code, struct.pack("<" + self.ints, bits))[0]

    def round(self, y):
        """The nearest float to an exact value, and what is missing in ulps."""
        if m.isnan(y):
            return NAN, 0
        if m.isinf(y):
            return float(y), 0
        if y == 0:
            return 0.0, 0
        e = max(int(m.mag(y)) - self.digits, self.emin)
        n = y * mpf(2) ** -e
        whole = m.nint(n)
        value = whole * mpf(2) ** e
        if abs(value) >= mpf(2) ** self.emax:
            return (INF if y > 0 else -INF), 0
        value = float(value) if value or y > 0 else -0.0
        return value, int(m.nint((n - whole) * 65535 * mpf("0.99998")))

    def near(self, x):
        """The float nearest to x."""
        return self.round(mpf(x))[0]

    def steps(self, x, n):
        """n floats on either side of a finite x."""
        b = self.bits(self.near(x))
        return [self.value(b + i) for i in range(-n, n + 1) if b + i >= 0]


F64 = Format("f64", 53, -1074, 1024, "d", "Q")
F32 = Format("f32", 24, -149, 128, "f", "I")


def log_uniform(rng, f, lo, hi):
    """Positive, with exponents from lo to hi."""
    lo, hi = max(lo, f.emin), min(hi, f.emax)
    return f.near(mpf(rng.uniform(1, 2)) * mpf(2) ** rng.randint(lo, hi - 1))


def uniform(rng, f, lo, hi):
    return f.near(lo + (mpf(hi) - lo) * rng.getrandbits(80) / 2**80)


def spread(rng, f, n, parts, signs=True):
    """n arguments: (a, b, share) ranges, uniform if the share is positive, by exponent from 2^a to 2^b if negative."""
    total = sum(abs(s) for _, _, s in parts)
    out = []
    for a, b, s in parts:
        for _ in range(max(1, int(n * abs(s) / total))):
            x = uniform(rng, f, a, b) if s > 0 else log_uniform(rng, f, a, b)
            out.append(-x if signs and rng.random() < 0.5 else x)
    return out


def edges(f):
    tiny = f.value(1)
    top = f.value(f.bits(INF) - 1)
    normal = mpf(2) ** (f.emin + f.digits - 1)
    xs = [0.0, tiny, top, INF, 0.5, 1.0, 2.0, 3.0, 0.75] + f.steps(normal, 2) + f.steps(1, 3)
    return xs + [-x for x in xs] + [NAN]


def limits(f, g):
    """Around the arguments with g(x) = the largest finite, smallest normal and smallest positive number."""
    out = []
    for e in (f.emax, f.emin + f.digits - 1, f.emin, f.emin - 1, -f.digits, -f.digits - 1):
        out += f.steps(g(e), 3)
    return out


def unary_arguments(rng, f, name, n):
    everything = (f.emin, f.emax, -1)
    small = (-f.digits - 4, 2, -1)
    ln2 = m.log(2)
    big = f.emax * 0.7
    pi2 = m.pi / 2
    if name in ("exp", "exp2", "expm1", "sinh", "cosh", "tanh"):
        base = mpf(1) if name == "exp2" else ln2
        xs = spread(rng, f, n, [(0, f.emax * base * 1.02, 1), (0, 2, 1), (0, 45, 0.5), small, (f.emin, f.emax, -0.4)])
        xs += limits(f, lambda e: e * base) + limits(f, lambda e: -e * base)
        xs += f.steps((f.emax + 1) * base, 3) + [float(k) for k in range(-20, 21)]
        xs += [y for k in range(1, 12) for y in f.steps((k - 0.5) * base, 1)]
    elif name in ("log", "log2", "log10"):
        xs = spread(rng, f, n, [everything, (0.5, 2, 1), (0.99, 1.01, 0.5)], signs=False)
        xs += f.steps(1, 12) + f.steps(m.sqrt(2), 2) + f.steps(m.sqrt(0.5), 2)
        xs += [f.near(mpf(2) ** k) for k in range(f.emin, f.emax, 9)] + [f.near(mpf(10) ** k) for k in range(-30, 30)]
    elif name == "log1p":
        xs = spread(rng, f, n, [everything], signs=False) + spread(rng, f, n, [small])
        xs += spread(rng, f, n // 4, [(0, 1, 1)]) + [-x for x in f.steps(1, 8)] + f.steps(m.sqrt(2) - 1, 2)
    elif name in ("sin", "cos", "tan"):
        xs = spread(rng, f, n, [everything, (0, 7, 0.7), (0, 1000, 0.4), (0, 1.2e6, 0.4), small])
        for e in range(0, f.emax - 2, max(1, f.emax // 100)):
            k = rng.randint(2 ** max(e - 1, 0), 2**e)
            mp.prec = e + 200
            xs += f.steps(k * m.pi / 2, 0) + f.steps(k * m.pi / 2 + m.pi / 4, 0)
            mp.prec = 400
        xs += [f.near(k * pi2) for k in range(1, 60)] + f.steps(1048576.0, 3) + f.steps(100000.0, 3)
        xs += [f.near(mpf(6381956970095103) * mpf(2) ** 797), 1e300, 1e22, 3e38] if f is F64 else [3e38, f.near(16367173 * mpf(2) ** 72)]
    elif name in ("asin", "acos", "atanh"):
        xs = spread(rng, f, n, [(f.emin, 0, -1), (0, 1, 2)])
        xs += [s * f.near(1 - mpf(2) ** -k * u) for k in range(2, f.digits) for s in (1, -1) for u in (1, 0.7)]
        xs += f.steps(0.5, 4) + [-x for x in f.steps(0.5, 4)] + f.steps(mpf(2) / 3, 2) + [2.0, -3.5]
    elif name == "acosh":
        xs = spread(rng, f, n, [(0, f.emax, -1), (1, 3, 1)], signs=False)
        xs += [f.near(1 + mpf(2) ** -k * u) for k in range(0, f.digits) for u in (1, 1.7)] + f.steps(2**28, 3) + [0.5]
    elif name == "asinh":
        xs = spread(rng, f, n, [everything, small, (0, 3, 1)]) + f.steps(2**28, 3)
    elif name == "atan":
        xs = spread(rng, f, n, [everything, small, (0, 3, 1)]) + f.steps(m.sqrt(2) - 1, 3) + f.steps(m.sqrt(2) + 1, 3)
    else:
        xs = spread(rng, f, n, [everything, (0, 30, 0.3)]) + [float(k**3) for k in range(1, 40)]
    xs += edges(f)
    return sorted({f.bits(x) for x in xs if x == x}) + [f.bits(NAN)]


def binary_arguments(rng, f, name, n):
    pairs = []
    everything = (f.emin, f.emax, -1)
    def pick(parts, signs=True):
        return spread(rng, f, 1, [rng.choice(parts)], signs)[0]
    for _ in range(n):
        if name == "pow":
            x = pick([everything, (0.5, 2, 1), (0.99, 1.01, 1), (0, 30, 1)], signs=False)
            if rng.random() < 0.15:
                x, y = -x, float(rng.randint(-40, 40))
            elif rng.random() < 0.2 or x in (0, 1):
                y = pick([everything, (0, 5, 1)])
            else:
                y = f.near(rng.uniform(f.emin - 2, f.emax + 1) / m.log(mpf(x), 2))
            pairs.append((x, y))
        elif name in ("atan2", "hypot"):
            a = pick([everything])
            b = a * 2.0 ** rng.uniform(-30, 30) if rng.random() < 0.6 else pick([everything])
            pairs.append((a, f.near(b) if abs(b) < INF else a))
        else:
            a = pick([(0, 5, 1), (0, 900, 1), small_part(f), everything])
            b = a + pick([(0, 2, 1), (0, 40, 2), (0, 800, 0.3)]) if rng.random() < 0.8 else pick([everything])
            pairs.append((a, f.near(b) if abs(b) < INF else a))
    special = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, 0.5, -0.5, INF, -INF, NAN, f.value(1), f.value(f.bits(INF) - 1)]
    if name == "pow":
        special += [-8.0, float(f.near(mpf(1) / 3)), 2.0**52 + 1 if f is F64 else 2.0**23 + 1]
    pairs += [(a, b) for a in special for b in special]
    return sorted({(f.bits(a), f.bits(b)) for a, b in pairs if a == a and b == b}) + [
        (f.bits(a), f.bits(b)) for a, b in pairs if a != a or b != b
    ]


def small_part(f):
    return (-f.digits, 2, -1)


def sign(x):
    return -1.0 if struct.pack(">d", x)[0] >= 128 else 1.0


def unary(name, x):
    """The exact value, or a float for special cases."""
    if x != x:
        return NAN
    if x in (INF, -INF):
        table = {
            "exp": (INF, 0.0), "exp2": (INF, 0.0), "expm1": (INF, -1.0), "log": (INF, NAN), "log2": (INF, NAN),
            "log10": (INF, NAN), "log1p": (INF, NAN), "sin": (NAN, NAN), "cos": (NAN, NAN), "tan": (NAN, NAN),
            "asin": (NAN, NAN), "acos": (NAN, NAN), "atan": None, "sinh": (INF, -INF), "cosh": (INF, INF),
            "tanh": (1.0, -1.0), "asinh": (INF, -INF), "acosh": (INF, NAN), "atanh": (NAN, NAN), "cbrt": (INF, -INF),
        }[name]
        return (m.pi / 2 * (1 if x > 0 else -1)) if table is None else table[0 if x > 0 else 1]
    if x == 0 and name in ("expm1", "log1p", "sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "cbrt"):
        return x
    if name in ("log", "log2", "log10"):
        return -INF if x == 0 else NAN if x < 0 else m.log(mpf(x)) if name == "log" else m.log(mpf(x), int(name[3:]))
    if name == "log1p":
        return -INF if x == -1 else NAN if x < -1 else m.log1p(mpf(x))
    if name in ("asin", "acos") and abs(x) > 1 or name == "acosh" and x < 1:
        return NAN
    if name == "atanh" and abs(x) >= 1:
        return x * INF if abs(x) == 1 else NAN
    x = mpf(x)
    if name == "exp2":
        return mpf(2) ** x
    if name == "cbrt":
        return m.cbrt(abs(x)) * m.sign(x)
    if name in ("exp", "expm1", "sinh", "cosh") and abs(x) > 1e5:
        return unary(name, INF if x > 0 else -INF)
    if name == "tanh" and abs(x) > 1e4:
        return m.sign(x)
    return getattr(m, name)(x)


def binary(name, a, b):
    if name == "pow":
        if b == 0 or a == 1:
            return 1.0
        if a != a or b != b:
            return NAN
        if b in (INF, -INF):
            return 1.0 if abs(a) == 1 else INF if (abs(a) > 1) == (b > 0) else 0.0
        whole = b == int(b)
        s = sign(a) if whole and int(b) % 2 else 1.0
        if a in (0, INF, -INF):
            return s * (0.0 if (a == 0) == (b > 0) else INF)
        if a < 0 and not whole:
            return NAN
        if abs(a) == 1:
            return s
        t = mpf(b) * m.log(abs(mpf(a)), 2)
        if abs(t) > 3000:
            return s * (INF if t > 0 else 0.0)
        return s * abs(mpf(a)) ** mpf(b)
    if name == "hypot":
        if INF in (abs(a), abs(b)):
            return INF
        return NAN if a != a or b != b else m.sqrt(mpf(a) ** 2 + mpf(b) ** 2)
    if a != a or b != b:
        return NAN
    if name == "atan2":
        y, x, s = a, b, sign(a)
        if abs(y) == INF and abs(x) == INF:
            return s * m.pi * (mpf(1) / 4 if x > 0 else mpf(3) / 4)
        if abs(x) == INF or y == 0:
            return s * m.pi if sign(x) < 0 else s * 0.0
        if abs(y) == INF or x == 0:
            return s * m.pi / 2
        return m.atan2(mpf(y), mpf(x))
    x, y = max(a, b), min(a, b)
    if x == INF or y == -INF:
        return x + 0.0
    two = name == "logaddexp2"
    d = mpf(y) - mpf(x)
    if d < -20000:
        return mpf(x)
    e = mpf(2) ** d if two else m.exp(d)
    return mpf(x) + (m.log1p(e) / m.log(2) if two else m.log1p(e))


UNARY = """exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh cbrt""".split()
BINARY = "atan2 hypot pow logaddexp logaddexp2".split()


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    for f in (F32, F64):
        rng = random.Random(2024)
        out = bytearray()
        for name in UNARY + BINARY:
            mp.prec = 400
            two = name in BINARY
            args = binary_arguments(rng, f, name, 700) if two else unary_arguments(rng, f, name, 700)
            out += struct.pack("<B", len(name)) + name.encode() + struct.pack("<BI", 1 + two, len(args))
            for bits in args:
                bits = bits if two else (bits,)
                xs = [f.value(b) for b in bits]
                small = min([abs(x) for x in xs if x] or [1])
                mp.prec = 2600 if small < 1e-60 or name in ("sin", "cos", "tan") else 400
                y = binary(name, *xs) if two else unary(name, *xs)
                value, frac = (y, 0) if isinstance(y, float) and (y == 0 or y != y) else f.round(mpf(y))
                for b in bits:
                    out += struct.pack("<" + f.ints, b)
                out += struct.pack("<" + f.ints, f.bits(value)) + struct.pack("<h", frac)
            print(f.name, name, len(args))
        with open(os.path.join(here, f"math_{f.name}.bin"), "wb") as file:
            file.write(out)


if __name__ == "__main__":
    main()
