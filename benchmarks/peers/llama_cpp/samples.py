"""Figures as they were measured, one a repeat, and how they are put together. Ratios are taken within a repeat."""

import math

from engines import NULLM, median


class Samples:
    """Values by (engine, file, linear, arith, threads, metric), one a repeat."""

    def __init__(self, rows=()):
        self.rows = list(rows)

    def add(self, repeat, engine, file, metric, value, threads, linear="native", arith=""):
        key = {"repeat": repeat, "engine": engine, "file": file, "linear": linear, "arith": arith}
        self.rows.append(key | {"threads": threads, "metric": metric, "value": value})

    def of(self, engine, file, metric, threads, linear="native", arith=""):
        """{repeat: value}"""
        wanted = {
            "engine": engine,
            "file": file,
            "linear": linear,
            "arith": arith,
            "threads": threads,
            "metric": metric,
        }
        return {row["repeat"]: row["value"] for row in self.rows if wanted.items() <= row.items()}

    def seen(self, field, **where):
        """The values of a field, in the order they came, among rows that match."""
        return list(dict.fromkeys(row[field] for row in self.rows if where.items() <= row.items()))


def ratio(over, under):
    return {r: over[r] / under[r] for r in over if r in under}


def show(values, digits=1):
    """Median, and lowest to highest."""
    if not values:
        return "-"
    v = list(values.values())
    return f"{median(v):.{digits}f} ({min(v):.{digits}f}-{max(v):.{digits}f})"


def shape(value, how):
    return "-" if value is None else format(value, how)


def mid(values):
    return median(list(values.values())) if values else None


def nullm_runs(samples, metric, threads=None):
    """(file, linear, arith, threads) of nullm, native weights first."""
    keys = []
    for row in samples.rows:
        key = (row["file"], row["linear"], row["arith"], row["threads"])
        if row["engine"] == NULLM and row["metric"] == metric and threads in (None, key[3]) and key not in keys:
            keys.append(key)
    return sorted(keys, key=lambda k: (k[1] != "native", k[0], k[3], k[2]))


def threads_of(samples, metric):
    return max(samples.seen("threads", metric=metric), default=0)


def weights(file, linear):
    return file if linear == "native" else f"NF4 from {file}"


def batch_sizes(samples):
    return sorted({int(m.split()[1]) for m in samples.seen("metric") if m.startswith("batch ")})


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values and all(v > 0 for v in values) else None


def per_repeat_mean(by_prompt):
    """{repeat: geometric mean over prompts}, of repeats that have them all."""
    shared = set.intersection(*(set(v) for v in by_prompt)) if by_prompt else set()
    return {r: geometric_mean(v[r] for v in by_prompt) for r in sorted(shared)}
