#!/usr/bin/env python3
"""Charts of a comparison: plot.py RESULTS.json [DIRECTORY]. Without matplotlib it says so and draws nothing."""

import json
import sys
from pathlib import Path

from engines import LLAMA, NULLM
from samples import Samples, batch_sizes, mid, nullm_runs, per_repeat_mean, threads_of, weights

GREY, BLUE, ORANGE = "#8a8a8a", "#1f6fb4", "#e07b28"


def bars(axes, labels, series):
    """Groups of bars; `series` is [(name, colour, values)], a missing value None."""
    width = 0.8 / len(series)
    for i, (name, colour, values) in enumerate(series):
        at = [x + (i - (len(series) - 1) / 2) * width for x in range(len(labels))]
        drawn = axes.bar(at, [v or 0 for v in values], width, label=name, color=colour)
        axes.bar_label(drawn, [f"{v:.0f}" if v else "" for v in values], fontsize=7)
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def by_run(samples, metric, title, axes, threads=None):
    runs = nullm_runs(samples, metric, threads)
    labels = [f"{weights(f, l)}\n{a}, {t} thr." for f, l, a, t in runs]
    theirs = [mid(samples.of(LLAMA, f, metric, threads=t)) for f, _, _, t in runs]
    ours = [mid(samples.of(NULLM, f, metric, linear=l, arith=a, threads=t)) for f, l, a, t in runs]
    bars(axes, labels, [(LLAMA, GREY, theirs), (NULLM, BLUE, ours)])
    axes.set_title(title, fontsize=10)


def decode(samples, axes):
    by_run(samples, "decode", "Decode, tokens/s", axes)


def prefill(samples, axes):
    by_run(samples, "prefill", "Prefill of 512, tokens/s", axes)


def deep(samples, axes):
    by_run(samples, "deep decode", "Decode at depth, tokens/s", axes)


def curve(samples, axes):
    sizes = batch_sizes(samples)

    def line(label, style, values):
        found = [(m, mid(values(m))) for m in sizes]
        found = [(m, v / found[0][1]) for m, v in found if v and found[0][1]]
        if found:
            axes.plot(*zip(*found), style, label=label)

    for file in samples.seen("file"):
        line(
            f"{LLAMA} {file}",
            "o--",
            lambda m: samples.of(LLAMA, file, f"batch {m}", threads_of(samples, "batch 1")),
        )
    for f, l, a, t in nullm_runs(samples, f"batch {sizes[0]}"):
        line(
            f"{NULLM} {weights(f, l)} {a}",
            "o-",
            lambda m: samples.of(NULLM, f, f"batch {m}", linear=l, arith=a, threads=t),
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, sizes)
    axes.set_xlabel("rows of a pass")
    axes.set_title("Time of a pass, times the pass of one row", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def reader(samples, axes):
    runs = nullm_runs(samples, "read dense")
    labels = [f"{weights(f, l)}\n{a}" for f, l, a, _ in runs]
    series = [
        (f"{LLAMA} dense", GREY, [mid(samples.of(LLAMA, f, "read dense", threads=t)) for f, _, _, t in runs])
    ]
    shades = ("#b9d3e8", "#6ba3d0", BLUE, "#123f66")
    rows = [m for m in samples.seen("metric", engine=NULLM) if m.startswith("read ") and m != "read prefill"]
    for shade, row in zip(shades, rows):
        series.append(
            (
                f"{NULLM} {row[5:]}",
                shade,
                [mid(samples.of(NULLM, f, row, linear=l, arith=a, threads=t)) for f, l, a, t in runs],
            )
        )
    bars(axes, labels, series)
    axes.set_title("Reader, positions/s", fontsize=10)


def writer(samples, axes):
    f, l, a, t = nullm_runs(samples, "written tokens")[0]
    metrics = samples.seen("metric", engine=NULLM, file=f)
    prompts = list(dict.fromkeys(m[6:].rsplit("/", 1)[0] for m in metrics if m.startswith("write ")))

    def column(engine, what, **key):
        values = [samples.of(engine, f, f"write {p}/{what}", threads=t, **key) for p in prompts]
        return [mid(v) for v in values] + [mid(per_repeat_mean(values))]

    key = {"linear": l, "arith": a}
    bars(
        axes,
        [p.replace("_", "\n") for p in prompts] + ["geometric\nmean"],
        [
            (f"{LLAMA} dense", GREY, column(LLAMA, "dense")),
            (f"{LLAMA} n-gram", "#c4c4c4", column(LLAMA, "ngram")),
            (f"{NULLM} dense", "#b9d3e8", column(NULLM, "dense", **key)),
            (f"{NULLM} gated", BLUE, column(NULLM, "gated", **key)),
        ],
    )
    axes.set_title(f"Writer, tokens/s, {weights(f, l)}, {a}", fontsize=10)


CHARTS = {
    "decode": (decode, "decode"),
    "prefill": (prefill, "prefill"),
    "batches": (curve, "batch 1"),
    "reader": (reader, "read dense"),
    "writer": (writer, "written tokens"),
    "depth": (deep, "deep decode"),
}


def draw(samples, directory):
    """Draws a chart for each metric that was measured; returns a sentence."""
    try:
        import matplotlib

        matplotlib.use("svg")
        import matplotlib.pyplot as pyplot
    except ImportError:
        return "matplotlib is not installed: no charts were drawn."
    drawn = []
    for name, (chart, metric) in CHARTS.items():
        runs = nullm_runs(samples, metric)
        if not runs:
            continue
        figure, axes = pyplot.subplots(figsize=(max(7, 1.1 * len(runs)), 4), layout="constrained")
        chart(samples, axes)
        figure.savefig(Path(directory) / f"{name}.svg")
        pyplot.close(figure)
        drawn.append(f"{name}.svg")
    return f"Charts in {directory}: " + ", ".join(drawn)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    source = Path(sys.argv[1])
    print(
        draw(
            Samples(json.loads(source.read_text())["samples"]),
            Path(sys.argv[2]) if len(sys.argv) == 3 else source.parent,
        )
    )
