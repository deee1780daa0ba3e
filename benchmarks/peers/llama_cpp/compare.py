#!/usr/bin/env python3
"""nullm against llama.cpp: the same files, the same work, interleaved in one run.

Compared, by item (--items):
  1  decode at 1 and 2 threads, beside a plain read of the weights     passes, llama-bench
  2  prefill of 512 tokens                                             passes, llama-bench
  3  a pass of 1 to 16 rows with logits for each                       passes, llama-batched-bench
  4  reading a text at 60 and 80 % skip, and in chunks                 dense_vs_gated, llama-bench
  5  writing from seven prompts, and n-gram speculation                dense_vs_gated, llama-speculative-simple
  6  decode at depth 7900, flash attention on; nullm exact and sampled  passes, llama-bench

Before: build nullm's programs, and run setup.sh.
    cmake -S . -B build/release -DCMAKE_BUILD_TYPE=Release
    cmake --build build/release --target passes dense_vs_gated
    sh benchmarks/peers/llama_cpp/setup.sh MODEL.Q4_1.gguf build/peers
Then, on a machine that does nothing else:
    python3 benchmarks/peers/llama_cpp/compare.py --model MODEL.Q4_1.gguf --corpus wikitext-2-raw-test.txt

Each repeat runs every program once for each file and arithmetic, the two engines by turns, the one that starts
changing from repeat to repeat. A ratio is taken within a repeat; tables show medians and ranges over the repeats.
results.json, results.md and (with matplotlib, see plot.py) charts go to --out; --render results.json makes the
tables again. Programs of others that keep a core busy are noted, and spoil the figures. Standard library only.
"""

import argparse
import datetime
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import engines
import plot
from engines import LLAMA, NULLM, median
from samples import Samples
from tables import MAKERS

ALL_BATCHES = (1, 2, 4, 8, 16)


class Comparison:
    def __init__(self, chosen):
        self.chosen = chosen
        self.samples = Samples()
        self.runner = engines.Runner(chosen.limit)
        self.bins = Path(chosen.peers) / "llama" / "bin"
        self.programs = Path(chosen.build) / "benchmarks"
        files = {"Q4_0": Path(chosen.q4_0 or Path(chosen.peers) / "Q4_0.gguf"), "Q4_1": Path(chosen.model)}
        self.files = {name: files[name] for name in chosen.files}
        self.failures = []

    def note(self, where, values):
        """`where`: repeat, engine, file, threads, and for nullm linear and arith."""
        for metric, value in values.items():
            self.samples.add(metric=metric, value=value, **where)

    def by_turns(self, repeat, llama, nullm, *arguments):
        """Runs both, the one that starts changing; a run that fails is noted and left out."""
        for run in (llama, nullm) if repeat % 2 == 0 else (nullm, llama):
            try:
                run(repeat, *arguments)
            except engines.Failed as failure:
                self.failures.append(str(failure))
                print(f"  FAILED: {failure}", file=sys.stderr, flush=True)

    def nullm_runs(self, repeat, name, threads, linears=("native",)):
        """(command-line options, where to note) of each configuration on a file."""
        for linear in linears:
            if linear == "nf4" and name != "Q4_1" and "Q4_1" in self.files:
                continue  # encoded from the finer file
            for arith in self.chosen.arith:
                where = {"repeat": repeat, "engine": NULLM, "file": name, "threads": threads}
                options = engines.model_options(self.files[name], linear, arith, threads)
                yield options, where | {"linear": linear, "arith": arith}

    # Items 1 to 3 come from the same runs of the same programs.

    def passes(self, repeat):
        c = self.chosen
        most = max(c.threads)
        for threads in c.threads:
            if "1" not in c.items and "2" not in c.items and threads != most:
                continue
            batches = ALL_BATCHES if "3" in c.items and threads == most else ()
            self.by_turns(repeat, self.llama_passes, self.nullm_passes, threads, batches)

    def llama_passes(self, repeat, threads, batches):
        c = self.chosen
        prefill, decode = (c.prefill if "2" in c.items else 0), (c.decode if "1" in c.items else 0)
        for name, file in self.files.items():
            where = {"repeat": repeat, "engine": LLAMA, "file": name, "threads": threads}
            if prefill or decode:
                rates = engines.llama_bench(self.runner, self.bins, file, threads, prefill, decode, c.inner)
                self.note(where, rates)
            if batches:
                curve = engines.llama_batches(self.runner, self.bins, file, threads, batches)
                self.note(where, {f"batch {m}": milliseconds for m, milliseconds in curve.items()})

    def nullm_passes(self, repeat, threads, batches):
        c = self.chosen
        prefill, decode = (c.prefill if "2" in c.items else 0), (c.decode if "1" in c.items else 8)
        for name in self.files:
            for options, where in self.nullm_runs(repeat, name, threads, ("native", "nf4")):
                found = engines.nullm_passes(
                    self.runner, self.programs, options, c.inner, decode, prefill, batches or (1,)
                )
                read, seconds = median(found["read_s"]), median(found["decode_s"])
                if "1" in c.items:
                    self.note(where, {"decode": found["decode_tokens"] / seconds, "load s": found["load_s"]})
                    self.note(where, {"of plain read": found["decode_tokens"] * read / seconds})
                    self.note(where, {"plain read GB/s": 1e-9 * found["weight_bytes"] / read})
                if prefill:
                    self.note(where, {"prefill": found["prefill_tokens"] / median(found["prefill_s"])})
                if batches:
                    curve = found["batches"].items()
                    self.note(where, {f"batch {m}": 1e3 * median(s) for m, s in curve})

    # Item 4

    def reader(self, repeat):
        for name in self.files:
            self.by_turns(repeat, self.llama_reads, self.nullm_reads, name, max(self.chosen.threads))

    def llama_reads(self, repeat, name, threads):
        n, chunks = self.chosen.positions, {"-b": 512, "-ub": 512}
        rates = engines.llama_bench(self.runner, self.bins, self.files[name], threads, n, n, 1, chunks)
        where = {"repeat": repeat, "engine": LLAMA, "file": name, "threads": threads}
        self.note(where, {"read dense": rates["decode"], "read prefill": rates["prefill"]})

    def nullm_reads(self, repeat, name, threads):
        c = self.chosen
        for options, where in self.nullm_runs(repeat, name, threads):
            work = {"--corpus": c.corpus, "--positions": c.positions, "--skip": "0.6,0.8"}
            flags = ["--no-writer"] + ["--no-check"] * (repeat > 0)  # the first repeat compares the logits
            for line in engines.nullm_loops(self.runner, self.programs, options | work, *flags):
                if line["kind"] == "chunked prefill":
                    self.note(where, {"read prefill": line["positions"] / median(line["seconds"])})
                elif line["kind"] == "check" and repeat == 0:
                    self.note(where, {"logits compared": line["logits_compared"]})
                elif line["kind"] == "reader":
                    row = line["row"]
                    if "wanted_skip" in line:
                        row = f"skip {100 * line['wanted_skip']:.0f} %"
                    self.note(where, {"read " + row: line["positions"] / median(line["seconds"])})
                    self.note(where, {"skipped " + row: line["skipped"], "theta " + row: line["theta"]})
                    self.note(where, {"p50 " + row: line["latency_p50_s"], "p95 " + row: line["latency_p95_s"]})

    # Item 5

    def writer(self, repeat):
        source = {"--prompts": self.chosen.prompts} if self.chosen.prompts else {}
        threads = max(self.chosen.threads)
        with tempfile.TemporaryDirectory() as folder:
            options = {"--model": next(iter(self.files.values())), "--write-prompts": folder}
            self.runner.run(self.programs / "dense_vs_gated", options | source)
            prompts = sorted(Path(folder).glob("*.txt"))
            for name in self.files:
                self.by_turns(repeat, self.llama_writes, self.nullm_writes, name, threads, prompts, source)

    def llama_writes(self, repeat, name, threads, prompts, _source):
        file, tokens = self.files[name], self.chosen.max_tokens
        where = {"repeat": repeat, "engine": LLAMA, "file": name, "threads": threads}
        rates = engines.llama_bench(self.runner, self.bins, file, threads, 0, tokens)
        self.note(where, {"write bench": rates["decode"]})
        for prompt in prompts:
            run = lambda lookup: engines.llama_continue(
                self.runner, self.bins, file, threads, prompt, tokens, lookup
            )
            dense, ngram = run(engines.NEVER), run(engines.NGRAM)
            values = {"dense": dense["rate"], "ngram": ngram["rate"], "per pass": ngram["per_pass"]}
            values |= {"tokens": ngram["tokens"], "prompt tokens": ngram["prompt_tokens"]}
            self.note(where, {f"write {prompt.stem}/{what}": value for what, value in values.items()})

    def nullm_writes(self, repeat, name, threads, _prompts, source):
        for options, where in self.nullm_runs(repeat, name, threads):
            options |= {"--max-tokens": self.chosen.max_tokens} | source
            lines = engines.nullm_loops(self.runner, self.programs, options, "--no-lengths")
            for line in (line for line in lines if line["kind"] == "writer"):
                n = line["tokens"]
                values = {"dense": n / median(line["dense_s"]), "gated": n / median(line["gated_s"])}
                values |= {"tokens": n, "per pass": n / line["passes"], "nulls": line["nulls"] / max(1, n)}
                values |= {"withdrawn": line["withdrawn"], "prompt tokens": line["prompt_tokens"]}
                self.note(where, {f"write {line['prompt']}/{what}": value for what, value in values.items()})
            self.note(where, {"written tokens": sum(x["tokens"] for x in lines if x["kind"] == "writer")})

    # Item 6

    def deep(self, repeat):
        for name in self.files:
            self.by_turns(repeat, self.llama_deep, self.nullm_deep, name, max(self.chosen.threads))

    def llama_deep(self, repeat, name, threads):
        c, file = self.chosen, self.files[name]
        deep = {"-d": c.depth, "-fa": 1}
        rates = engines.llama_bench(self.runner, self.bins, file, threads, 0, c.deep_decode, c.inner, deep)
        where = {"repeat": repeat, "engine": LLAMA, "file": name, "threads": threads}
        self.note(where, {"deep decode": rates["decode"], "depth": c.depth})

    def nullm_deep(self, repeat, name, threads):
        c = self.chosen
        for options, where in self.nullm_runs(repeat, name, threads):
            found = engines.nullm_passes(
                self.runner, self.programs, options, c.inner, c.deep_decode, 0, (1,), c.depth
            )
            seconds = median(found["decode_s"]) / found["decode_tokens"]
            cache = engines.cache_bytes_per_position(self.files[name]) * (c.depth + found["decode_tokens"] / 2)
            roofline = (found["weight_bytes"] + cache) * median(found["read_s"]) / found["weight_bytes"]
            self.note(where, {"deep decode": 1 / seconds, "roofline share": roofline / seconds})
            self.note(where, {"deep plain read GB/s": 1e-9 * found["weight_bytes"] / median(found["read_s"])})
            sampled = engines.nullm_passes(
                self.runner, self.programs, options | {"--attention": "sketch"}, c.inner, c.deep_decode, 0, (1,), c.depth
            )
            self.note(where, {"deep sampled": sampled["decode_tokens"] / median(sampled["decode_s"])})

    def run(self, keep):
        """All repeats; calls keep() after each item of each, so that little is lost if the run is ended."""
        c = self.chosen
        steps = (("1", self.passes), ("4", self.reader), ("5", self.writer), ("6", self.deep))
        for repeat in range(c.repeats):
            load = os.getloadavg()[0]
            print(f"repeat {repeat + 1} of {c.repeats}, load {load:.1f}", file=sys.stderr, flush=True)
            for item, step in steps:
                if item in c.items or item == "1" and not c.items.isdisjoint({"2", "3"}):
                    step(repeat)
                    keep()

    def results(self):
        described = Path(self.chosen.peers) / "setup.json"
        about = {
            "machine": machine(),
            "peer": json.loads(described.read_text()) if described.exists() else {},
            "command": sys.argv[1:],
            "repeats": self.chosen.repeats,
            "items": sorted(self.chosen.items),
            "failures": self.failures,
            "others_cores": [round(x, 3) for x in self.runner.others],
        }
        return {"about": about, "samples": self.samples.rows}


def machine():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "date": datetime.date.today().isoformat(),
    }


def heading(about):
    others = about["others_cores"]
    text = (
        f"{about['machine']['cpu']}, {about['machine']['cores']} cores; llama.cpp as in llama-cpp-python "
        f"{about['peer'].get('llama_cpp_python', '?')}, built natively with {about['peer'].get('compiler', '?')}; "
        f"{about['repeats']} interleaved repeats: median (lowest-highest)."
    )
    if others:
        text += f" Other programs kept {median(others):.2f} cores busy (at most {max(others):.2f})" + (
            ": **the machine was not idle, these figures do not count**." if was_busy(about) else "."
        )
    return text


def was_busy(about):
    return bool(about["others_cores"]) and median(about["others_cores"]) > 0.1


def render(results):
    tables = [MAKERS[item](Samples(results["samples"])) for item in results["about"]["items"]]
    if was_busy(results["about"]):
        for table in tables:
            table.withhold()
    failed = results["about"]["failures"]
    text = heading(results["about"]) + "\n\n" + "\n".join(t.markdown() for t in tables)
    if failed:
        text += "\nRuns that failed: " + "; ".join(failed) + "\n"
    return text, [t.as_json() for t in tables]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    comma = lambda kind: lambda text: [kind(part) for part in text.split(",")]
    parser.add_argument("--model", help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--q4_0", help="the same model in Q4_0 (default: PEERS/Q4_0.gguf)")
    parser.add_argument("--corpus", help="a text to read (item 4)")
    parser.add_argument("--build", default="build/release", help="nullm's build directory")
    parser.add_argument("--peers", default="build/peers", help="where setup.sh built")
    parser.add_argument("--out", help="where results go (default: PEERS/results)")
    parser.add_argument("--items", type=comma(str), default=list(MAKERS), help="default 1,2,3,4,5,6")
    parser.add_argument("--files", type=comma(str), default=["Q4_0", "Q4_1"], help="default Q4_0,Q4_1")
    parser.add_argument(
        "--arith", type=comma(str), default=["i8", "i16"], help="nullm's arithmetic, default i8,i16"
    )
    parser.add_argument(
        "--threads", type=comma(int), default=[1, 2], help="default 1,2; items 3 to 6 take the most"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--inner", type=int, default=2, help="runs within one process in items 1, 2, 3 and 6, default 2"
    )
    parser.add_argument("--decode", type=int, default=128, help="tokens")
    parser.add_argument("--prefill", type=int, default=512, help="tokens")
    parser.add_argument("--positions", type=int, default=2000, help="tokens of the corpus")
    parser.add_argument("--max-tokens", type=int, default=160, help="of a writer")
    parser.add_argument("--prompts", help="folder of prompts (default: the seven of benchmarks/decode/prompts)")
    parser.add_argument("--depth", type=int, default=7900)
    parser.add_argument("--deep-decode", type=int, default=32, help="tokens at that depth")
    parser.add_argument("--limit", type=int, default=900, help="seconds a program may take")
    parser.add_argument("--smoke", action="store_true", help="one short repeat, to see that everything runs")
    parser.add_argument("--render", metavar="RESULTS.json", help="tables and charts of an earlier run")
    chosen = parser.parse_args()
    if chosen.render:
        return chosen
    if not chosen.model:
        parser.error("--model is needed")
    if unknown := set(chosen.items) - set(MAKERS):
        parser.error(f"--items: {', '.join(sorted(unknown))}: expected some of {', '.join(MAKERS)}")
    if unknown := set(chosen.files) - {"Q4_0", "Q4_1"}:
        parser.error(f"--files: {', '.join(sorted(unknown))}: expected Q4_0, Q4_1 or both")
    if "4" in chosen.items and not chosen.corpus:
        parser.error("--corpus is needed for item 4")
    if chosen.smoke:
        chosen.repeats, chosen.inner, chosen.decode, chosen.prefill = 1, 1, 8, 64
        chosen.positions, chosen.max_tokens, chosen.depth, chosen.deep_decode = 128, 16, 300, 4
    chosen.items = set(chosen.items)
    return chosen


def main():
    chosen = parse()
    out = Path(chosen.out or (Path(chosen.render).parent if chosen.render else Path(chosen.peers) / "results"))
    out.mkdir(parents=True, exist_ok=True)
    if chosen.render:
        results = json.loads(Path(chosen.render).read_text())
    else:
        comparison = Comparison(chosen)
        try:
            comparison.run(lambda: (out / "results.json").write_text(json.dumps(comparison.results()) + "\n"))
        except engines.Failed as failure:
            sys.exit(f"compare.py: {failure}")
        results = comparison.results()
    text, results["tables"] = render(results)
    (out / "results.json").write_text(json.dumps(results) + "\n")
    (out / "results.md").write_text(text)
    print(text)
    print(plot.draw(Samples(results["samples"]), out), file=sys.stderr)
    if results["about"]["failures"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
