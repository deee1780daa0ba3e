#!/usr/bin/env python3
"""Plots of a run: plots.py FOLDER [OUT]. Reads what gate_quality, dense_vs_gated --save and long_context --csv left in
FOLDER (curve.csv, raster.csv, reader.jsonl, frontier.csv; what is not there is not drawn) and writes coverage.png,
raster.png, skip.png and long_context.svg to OUT."""

import csv
import io
import json
import sys
from pathlib import Path
from statistics import median

GREY, BLUE, ORANGE, GREEN, RED = "#8a8a8a", "#1f6fb4", "#e07b28", "#2f8f5b", "#b03a3a"
STYLES = {  # gate: colour, dashes, whether its interval is drawn
    "quiet": (BLUE, "-", True),
    "importance": (ORANGE, "-", True),
    "surprise": (GREEN, "-", True),
    "magnitude": (RED, "-", True),
    "BPE rank": ("#6b4f9e", "--", False),
    "unigram": ("#b48ead", "--", False),
    "oracle": ("#202020", "--", False),
}


def tidy(axes, x, y, title):
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


class Curve:
    """curve.csv: figures of gates whose cuts were set on other articles, by wanted skip rate."""

    def __init__(self, path):
        self.rows = {}
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["cut"] != "frozen" or not row["low"]:
                    continue
                points = self.rows.setdefault((row["gate"], row["metric"]), [])
                points.append([float(row[k]) for k in ("wanted_skip", "value", "low", "high")])

    def of(self, gate, metric):
        """Shares skipped, values, lower and upper ends; in order of the share skipped."""
        skipped = {wanted: value for wanted, value, _, _ in self.rows.get((gate, "skip"), [])}
        points = [(skipped[w], v, low, high) for w, v, low, high in self.rows.get((gate, metric), [])]
        return [list(column) for column in zip(*sorted(points))] or [[], [], [], []]


def coverage(curve, pyplot):
    figure, grid = pyplot.subplots(2, 2, figsize=(9, 7), layout="constrained", sharex=True)
    panels = (
        ("recall_rare", "rare tokens kept"),
        ("recall_number", "tokens with a digit kept"),
        ("recall_capitalised", "capitalised tokens kept"),
        ("bits", "bits covered: the dense model's surprisal"),
    )
    for axes, (metric, title) in zip(grid.flat, panels):
        axes.plot([0, 1], [0, 1], color="#dddddd", linewidth=1, zorder=0)
        axes.text(0.9, 0.84, "random", color=GREY, fontsize=7, ha="left")
        for gate, (colour, line, banded) in STYLES.items():
            skipped, values, low, high = curve.of(gate, metric)
            if not values:
                continue
            emitted = [1 - x for x in skipped]
            axes.plot(emitted, values, line, color=colour, linewidth=1.5, label=gate)
            if banded:
                axes.fill_between(emitted, low, high, color=colour, alpha=0.18, linewidth=0)
        tidy(axes, "share of positions emitted", "share kept", title)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.01)
    grid.flat[3].legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def raster(path, pyplot):
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    figure, (top, bottom) = pyplot.subplots(
        2, 1, figsize=(11, 5.2), layout="constrained", sharex=True, gridspec_kw={"height_ratios": [3, 2]}
    )
    for x, row in enumerate(rows):
        spiking = [i for i, spike in enumerate(row["spikes"]) if spike == "1"]
        colour = BLUE if row["fire"] == "1" else GREY
        top.plot([x] * len(spiking), spiking, "|", markersize=0, color=colour)
        top.scatter([x] * len(spiking), spiking, s=1.2, color=colour, linewidths=0)
    top.set_ylim(0, len(rows[0]["spikes"]))
    tidy(top, "", "neuron, by threshold", "Spikes of the gate's neurons over a text (blue: the gate fires)")
    rate = [float(row["rate"]) for row in rows]
    theta = [float(row["theta"]) for row in rows]
    fired = [row["fire"] == "1" for row in rows]
    bottom.step(range(len(rows)), rate, where="mid", color=GREY, linewidth=1, label="rate")
    bottom.plot(range(len(rows)), theta, color=ORANGE, linewidth=1.2, label="theta")
    at = [x for x, fire in enumerate(fired) if fire]
    bottom.plot(at, [rate[x] for x in at], "o", markersize=3.5, color=BLUE, label="fires")
    tidy(bottom, "", "spike rate", "")
    bottom.set_ylim(0, 1.02)
    bottom.legend(frameon=False, fontsize=8, ncols=3, loc="upper right")
    shown = [row["token"].replace("\n", "\\n").replace("$", r"\$") for row in rows]
    bottom.set_xticks(range(len(rows)), shown, rotation=90, fontsize=7.5)
    for label, fire in zip(bottom.get_xticklabels(), fired):
        label.set_color(BLUE if fire else GREY)
    bottom.set_xlim(-0.7, len(rows) - 0.3)
    return figure


def reader_lines(path):
    """The readers, the dense one first, and the chunked prefills; None if the run has no readers."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    readers = [x for x in lines if x["kind"] == "reader"]
    if not readers or readers[0]["row"] != "dense":
        return None
    return readers, [x for x in lines if x["kind"] == "chunked prefill"]


def skip(curve, reader, pyplot):
    figure, panels = pyplot.subplots(1, 2 if reader else 1, figsize=(10 if reader else 5.5, 4), layout="constrained")
    left = panels[0] if reader else panels
    for gate, colour in (("quiet", BLUE), ("random", GREY)):
        for metric, line, where in (("accuracy_emitted", "-", "emitted"), ("accuracy_skipped", "--", "skipped")):
            skipped, values, low, high = curve.of(gate, metric)
            if not values:
                continue
            left.plot(skipped, values, line, color=colour, linewidth=1.5, label=f"{gate}, where {where}")
            left.fill_between(skipped, low, high, color=colour, alpha=0.12, linewidth=0)
    tidy(left, "share skipped", "dense top-1", "Accuracy: a choice of positions, not a better model")
    left.set_xlim(0, 1)
    left.legend(frameon=False, fontsize=8)
    if not reader:
        return figure
    right = panels[1]
    rows, chunked = reader
    base = rows[0]["positions"] / median(rows[0]["seconds"])
    rows = sorted(rows, key=lambda row: row["skipped"])
    skipped = [row["skipped"] for row in rows]
    speed = [row["positions"] / median(row["seconds"]) / base for row in rows]
    right.plot(skipped, [row["ceiling"] for row in rows], ":", color=GREY, label="ceiling, positions/s")
    right.plot(skipped, speed, "o-", color=BLUE, label="positions/s")
    emitted = [s * row["answers"] / row["positions"] for s, row in zip(speed, rows)]
    right.plot(skipped, emitted, "o-", color=ORANGE, label="emitted/s")
    rates = [line["positions"] / median(line["seconds"]) / base for line in chunked]
    for rate in rates:
        right.axhline(rate, color=GREEN, linewidth=1, linestyle="--", label="chunked prefill, no answers")
    right.set_ylim(0, 1.45 * max(speed + rates))
    right.set_xlim(0, 1)
    tidy(right, "share skipped", "times the dense reader", "Speed of a reader, tokens one at a time")
    right.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


class Frontier:
    """frontier.csv: a row a method, of the last depth in it."""

    KINDS = (  # how the names of methods begin, what they are called, colour, mark
        ("sketch 1", "sketch, 1 bit", "#b48ead", "o-"),
        ("sketch 2", "sketch, 2 bits", BLUE, "o-"),
        ("sketch 4", "sketch, 4 bits", GREEN, "o-"),
        ("tables", "hash tables (MagicPIG)", RED, "s"),
        ("top-k", "top-k of exact scores (oracle)", GREY, "^"),
        ("sparse V", "sparse V (exact scores)", ORANGE, "D"),
    )

    def __init__(self, path):
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.depth = rows[-1]["depth"]
        self.rows = [row for row in rows if row["depth"] == self.depth and "limit" not in row["method"]]

    def draw(self, axes, column, x, y):
        """Error over a column; an oracle has no time, and is not drawn over it."""
        for start, name, colour, mark in self.KINDS:
            found = [row for row in self.rows if row["method"].startswith(start) and float(row[column]) > 0]
            points = sorted((float(row[column]), float(row["error"])) for row in found)
            if points:
                axes.plot(*zip(*points), mark, color=colour, label=name, markersize=5, linewidth=1.2)
        exact = next(row for row in self.rows if row["method"] == "exact")
        axes.axvline(float(exact[column]), color="#202020", linewidth=1, linestyle=":", label="exact attention")
        axes.set_yscale("log")
        axes.set_xscale("log")
        ticks = [digit * 10.0**power for power in range(-3, 4) for digit in (1, 2, 5)]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            axis.set_ticks([t for t in ticks if low <= t <= high])
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        tidy(axes, x, y, f"Depth {self.depth}, all layers sampled")


def frontier(found, pyplot):
    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    found.draw(panels[0], "megabytes", "MB read a position (of tables: without the index)", "mean relative error of a head")
    found.draw(panels[1], "milliseconds", "ms a position", "")
    panels[0].legend(frameon=False, fontsize=8, loc="upper right", bbox_to_anchor=(0.93, 1))
    return figure


def save(figure, path):
    """An SVG with its text as text, the same for the same figures; or a PNG of 96 colours: a third of the size, and no
    eye tells them apart here."""
    if path.suffix == ".svg":
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join(line.strip() for line in lines) + "\n", encoding="utf-8")
        return
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    Image.open(drawn).convert("RGB").quantize(96).save(path, optimize=True)


def main(folder, out):
    try:
        import matplotlib
    except ImportError:
        sys.exit("plots.py: matplotlib is missing (Debian: python3-matplotlib)")
    matplotlib.use("agg")
    import matplotlib.pyplot as pyplot

    pyplot.rcParams["font.family"] = "DejaVu Sans"
    pyplot.rcParams["svg.fonttype"] = "none"
    pyplot.rcParams["svg.hashsalt"] = "nullm"
    drawn = {}
    curve = Curve(folder / "curve.csv") if (folder / "curve.csv").exists() else None
    reader = reader_lines(folder / "reader.jsonl") if (folder / "reader.jsonl").exists() else None
    if curve:
        drawn["coverage.png"] = coverage(curve, pyplot)
        drawn["skip.png"] = skip(curve, reader, pyplot)
    if (folder / "raster.csv").exists():
        drawn["raster.png"] = raster(folder / "raster.csv", pyplot)
    if (folder / "frontier.csv").exists():
        found = Frontier(folder / "frontier.csv")
        drawn["long_context.svg"] = frontier(found, pyplot)
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        save(figure, out / name)
    print(f"plots in {out}: " + ", ".join(sorted(drawn)))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[-1]))
