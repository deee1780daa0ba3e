"""From samples to tables: a function for each item."""

from engines import LLAMA, NULLM
from samples import batch_sizes, mid, nullm_runs, per_repeat_mean, ratio, shape, show, threads_of, weights

TARGETS = {  # of issue 6: (item, what): least ratio
    ("1", "Q4_0", 1): 1.3,
    ("1", "Q4_0", 2): 1.6,
    ("1", "Q4_1", 1): 2.0,
    ("1", "Q4_1", 2): 2.0,
    ("2", "Q4_0"): 2.5,
    ("4", 0.6): 3.5,
    ("4", 0.8): 6.0,
    ("5",): 2.7,
    ("6",): 2.2,
    ("6", "sketch"): 4.0,
}
LEAST_READ_SHARE = 0.85
MOST_FOUR_ROWS = 1.25
LEAST_ROOFLINE_SHARE = 0.8
LLAMA_ARITHMETIC = "i8 (Q8 blocks)"


def verdict(found, target, at_most=False):
    if found is None or target is None:
        return ""
    good = found <= target if at_most else found >= target
    sign = "<=" if at_most else ">="
    return f"{sign} {target:g}: " + ("met" if good else f"short by {abs(1 - found / target):.0%}")


class Table:
    def __init__(self, item, title, columns, notes=()):
        self.item, self.title, self.columns, self.notes, self.rows = item, title, columns, list(notes), []

    def add(self, *cells):
        self.rows.append([str(c) for c in cells])

    def withhold(self):
        """Takes the verdicts back: a busy machine slows an engine whose threads wait for each other far more."""
        for row in self.rows:
            for i, column in enumerate(self.columns):
                if column.startswith("target") and row[i]:
                    row[i] = "not judged: the machine was busy"

    def markdown(self):
        lines = [
            f"### {self.item}. {self.title}",
            "",
            "| " + " | ".join(self.columns) + " |",
            "|" + "---|" * len(self.columns),
        ]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join(lines + [""] + [f"{note}" for note in self.notes] + [""] * bool(self.notes))

    def as_json(self):
        return {
            "item": self.item,
            "title": self.title,
            "columns": self.columns,
            "rows": self.rows,
            "notes": self.notes,
        }


def decode_table(samples):
    table = Table(
        "1",
        "Decode, tokens/s at depth 0",
        [
            "weights",
            "threads",
            "nullm arithmetic",
            "llama.cpp",
            "nullm",
            "ratio",
            "target",
            "plain read, GB/s",
            "of a plain read",
            "target",
        ],
        [
            "llama.cpp multiplies in " + LLAMA_ARITHMETIC + ". NF4 (layers and head) is held against llama.cpp "
            "on the file it was encoded from. A plain read sweeps a buffer of the weights' size with the same "
            "threads in the same process."
        ],
    )
    for file, linear, arith, threads in nullm_runs(samples, "decode"):
        key = {"linear": linear, "arith": arith, "threads": threads}
        ours = samples.of(NULLM, file, "decode", **key)
        theirs = samples.of(LLAMA, file, "decode", threads=threads)
        share = samples.of(NULLM, file, "of plain read", **key)
        gain = ratio(ours, theirs)
        target = TARGETS.get(("1", file, threads)) if linear == "native" else None
        table.add(
            weights(file, linear),
            threads,
            arith,
            show(theirs),
            show(ours),
            show(gain, 2),
            verdict(mid(gain), target),
            show(samples.of(NULLM, file, "plain read GB/s", **key)),
            show({r: 100 * s for r, s in share.items()}, 0) + " %",
            verdict(mid(share), LEAST_READ_SHARE),
        )
    return table


def prefill_table(samples):
    table = Table(
        "2",
        "Prefill of 512 tokens, tokens/s",
        ["weights", "threads", "nullm arithmetic", "llama.cpp", "nullm", "ratio", "target"],
    )
    for file, linear, arith, threads in nullm_runs(samples, "prefill"):
        ours = samples.of(NULLM, file, "prefill", linear=linear, arith=arith, threads=threads)
        theirs = samples.of(LLAMA, file, "prefill", threads=threads)
        gain = ratio(ours, theirs)
        target = TARGETS.get(("2", file)) if (linear, arith, threads) == ("native", "i8", 2) else None
        table.add(
            weights(file, linear),
            threads,
            arith,
            show(theirs, 0),
            show(ours, 0),
            show(gain, 2),
            verdict(mid(gain), target),
        )
    return table


def batch_table(samples):
    sizes = batch_sizes(samples)
    table = Table(
        "3",
        f"A pass of m rows with logits for each, {threads_of(samples, 'batch 1')} threads: milliseconds "
        "(times the pass of one row)",
        ["weights", "engine"] + [f"m = {m}" for m in sizes] + ["target for m = 4"],
        [
            "nullm: m positions of one sequence. llama.cpp: m sequences of one token (llama-batched-bench), the "
            "only tool of its that asks for logits of every row."
        ],
    )

    def line(label, engine, **key):
        times = {m: samples.of(engine, metric=f"batch {m}", **key) for m in sizes}
        if not times[sizes[0]]:
            return
        cells = [
            f"{mid(times[m]):.2f} ({mid(ratio(times[m], times[sizes[0]])):.2f})" if times[m] else "-"
            for m in sizes
        ]
        four = mid(ratio(times[4], times[sizes[0]])) if engine == NULLM and 4 in times else None
        table.add(
            label,
            engine + (f" {key['arith']}" if key.get("arith") else ""),
            *cells,
            verdict(four, MOST_FOUR_ROWS, at_most=True),
        )

    for file in samples.seen("file"):
        line(file, LLAMA, file=file, threads=threads_of(samples, "batch 1"))
    for file, linear, arith, threads in nullm_runs(samples, "batch 1"):
        line(weights(file, linear), NULLM, file=file, linear=linear, arith=arith, threads=threads)
    return table


def reader_table(samples):
    table = Table(
        "4",
        "Reader: tokens come one at a time, an answer may be asked at each; positions/s, "
        f"{threads_of(samples, 'read dense')} threads",
        [
            "weights",
            "arithmetic",
            "row",
            "skipped",
            "positions/s",
            "to llama.cpp's dense decode",
            "target",
            "p50 ms",
            "p95 ms",
        ],
        [
            "p50 and p95 are of the pushes that answered, catching up included. Chunked prefill takes 512 tokens "
            "at a time and answers nowhere: it is what a text known in advance costs."
        ],
    )
    won = []
    for file, linear, arith, threads in nullm_runs(samples, "read dense"):
        key = {"linear": linear, "arith": arith, "threads": threads}
        theirs = samples.of(LLAMA, file, "read dense", threads=threads)
        chunks = samples.of(LLAMA, file, "read prefill", threads=threads)
        name = weights(file, linear)
        if name not in (row[0] for row in table.rows):
            table.add(name, LLAMA_ARITHMETIC, "llama.cpp dense", "0 %", show(theirs), "1", "", "", "")
            whole = (show(chunks, 0), show(ratio(chunks, theirs), 2))
            table.add(name, LLAMA_ARITHMETIC, "llama.cpp chunked prefill", "all", *whole, "", "", "")
        rows = [m[5:] for m in samples.seen("metric", engine=NULLM, file=file) if m.startswith("read ")]
        for row in rows:
            if row == "prefill":
                continue
            ours = samples.of(NULLM, file, "read " + row, **key)
            gain = ratio(ours, theirs)
            skipped = mid(samples.of(NULLM, file, "skipped " + row, **key))
            target = TARGETS.get(("4", float(row.split()[1]) / 100)) if row.startswith("skip") else None
            latency = [mid(samples.of(NULLM, file, f"{p} {row}", **key)) for p in ("p50", "p95")]
            table.add(
                name,
                arith,
                f"nullm {row}",
                shape(skipped, ".1%"),
                show(ours),
                show(gain, 2),
                verdict(mid(gain), target),
                *(shape(x and 1e3 * x, ".2f") for x in latency),
            )
        ours = samples.of(NULLM, file, "read prefill", **key)
        table.add(
            name, arith, "nullm chunked prefill", "all", show(ours, 0), show(ratio(ours, theirs), 2), "", "", ""
        )
        fastest = max(
            (mid(samples.of(NULLM, file, "read " + row, **key)) or 0) for row in rows if row != "prefill"
        )
        won += [
            f"{who} ({name}, {arith})"
            for who, rate in ((LLAMA, mid(chunks)), (NULLM, mid(ours)))
            if rate and rate > fastest
        ]
    if won:
        table.notes.append(
            "Faster than the fastest reader is, where no answer is wanted, the chunked prefill of "
            + ", ".join(won)
            + "."
        )
    return table


def writer_table(samples):
    table = Table(
        "5",
        "Writer: greedy continuations, decode time alone, tokens/s, "
        f"{threads_of(samples, 'written tokens')} threads",
        [
            "weights",
            "arithmetic",
            "prompt",
            "llama.cpp dense",
            "llama.cpp n-gram",
            "its tokens a pass",
            "nullm dense",
            "nullm gated",
            "tokens a pass",
            "NULL",
            "withdrawn",
            "gated to llama.cpp dense",
            "target",
        ],
        [
            "Every gated text is the dense one. llama.cpp: llama-speculative-simple on the same prompt, drafts by "
            "n-gram look-up (n 3, m 4); dense is the same program with a look-up that never finds one. "
            "llama-bench decodes from an empty cache and samples nothing."
        ],
    )
    for file, linear, arith, threads in nullm_runs(samples, "written tokens"):
        key = {"linear": linear, "arith": arith, "threads": threads}
        name = weights(file, linear)
        # In the order they were run; the metric is "write <prompt>/<what>".
        prompts = list(
            dict.fromkeys(
                m[6:].rsplit("/", 1)[0]
                for m in samples.seen("metric", engine=NULLM, file=file)
                if m.startswith("write ")
            )
        )
        columns = {
            "dense": [],
            "ngram": [],
            "base": [],
            "gated": [],
            "gain": [],
            "per pass": [],
            "their per pass": [],
        }
        for prompt in prompts:

            def ours(what):
                return samples.of(NULLM, file, f"write {prompt}/{what}", **key)

            def theirs(what):
                return samples.of(LLAMA, file, f"write {prompt}/{what}", threads=threads)

            gain = ratio(ours("gated"), theirs("dense"))
            for column, values in (
                ("dense", theirs("dense")),
                ("ngram", theirs("ngram")),
                ("base", ours("dense")),
                ("gated", ours("gated")),
                ("gain", gain),
                ("per pass", ours("per pass")),
                ("their per pass", theirs("per pass")),
            ):
                columns[column].append(values)
            same = mid(ours("prompt tokens")) == mid(theirs("prompt tokens"))
            if theirs("prompt tokens") and not same:
                table.notes.append(
                    f"{prompt}: the two engines see different prompts "
                    f"({mid(ours('prompt tokens')):.0f} and {mid(theirs('prompt tokens')):.0f} tokens)."
                )
            table.add(
                name,
                arith,
                prompt,
                show(theirs("dense")),
                show(theirs("ngram")),
                shape(mid(theirs("per pass")), ".2f"),
                show(ours("dense")),
                show(ours("gated")),
                shape(mid(ours("per pass")), ".2f"),
                shape(mid(ours("nulls")), ".0%"),
                shape(mid(ours("withdrawn")), ".0f"),
                show(gain, 2),
                "",
            )
        mean = {column: per_repeat_mean(values) for column, values in columns.items()}
        table.add(
            name,
            arith,
            "geometric mean",
            show(mean["dense"]),
            show(mean["ngram"]),
            shape(mid(mean["their per pass"]), ".2f"),
            show(mean["base"]),
            show(mean["gated"]),
            shape(mid(mean["per pass"]), ".2f"),
            "",
            "",
            show(mean["gain"], 2),
            verdict(mid(mean["gain"]), TARGETS[("5",)]),
        )
        bench = samples.of(LLAMA, file, "write bench", threads=threads)
        if bench:
            gain = ratio(mean["gated"], bench)
            label = "geometric mean, to llama-bench"
            ours = (show(mean["base"]), show(mean["gated"]), shape(mid(mean["per pass"]), ".2f"))
            judged = (show(gain, 2), verdict(mid(gain), TARGETS[("5",)]))
            table.add(name, arith, label, show(bench), "", "", *ours, "", "", *judged)
    return table


def depth_table(samples):
    depths = samples.seen("value", metric="depth")
    table = Table(
        "6",
        f"Decode at depth {depths[0] if depths else '?'}, tokens/s, "
        f"{threads_of(samples, 'deep decode')} threads",
        [
            "weights",
            "arithmetic",
            "llama.cpp -fa 1",
            "nullm",
            "ratio",
            "target",
            "plain read, GB/s",
            "of the byte roofline",
            "target",
            "nullm, sketch attention",
            "ratio",
            "target",
        ],
        [
            "The roofline: weights and cache of a position, at the rate of the plain read of that process "
            "(a buffer of the weights' size). One of the first two targets is enough. Sketch attention is approximate: "
            "docs/long_context.md."
        ],
    )
    for file, linear, arith, threads in nullm_runs(samples, "deep decode"):
        key = {"linear": linear, "arith": arith, "threads": threads}
        ours = samples.of(NULLM, file, "deep decode", **key)
        theirs = samples.of(LLAMA, file, "deep decode", threads=threads)
        roof = samples.of(NULLM, file, "roofline share", **key)
        sampled = samples.of(NULLM, file, "deep sampled", **key)
        table.add(
            weights(file, linear),
            arith,
            show(theirs),
            show(ours),
            show(ratio(ours, theirs), 2),
            verdict(mid(ratio(ours, theirs)), TARGETS[("6",)]),
            show(samples.of(NULLM, file, "deep plain read GB/s", **key)),
            show({r: 100 * s for r, s in roof.items()}, 0) + " %",
            verdict(mid(roof), LEAST_ROOFLINE_SHARE),
            show(sampled),
            show(ratio(sampled, theirs), 2),
            verdict(mid(ratio(sampled, theirs)), TARGETS[("6", "sketch")]),
        )
    return table


MAKERS = {
    "1": decode_table,
    "2": prefill_table,
    "3": batch_table,
    "4": reader_table,
    "5": writer_table,
    "6": depth_table,
}
