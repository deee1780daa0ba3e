"""How compare.py runs the two engines: command lines, and what is read from their output."""

import json
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

LLAMA = "llama.cpp"
NULLM = "nullm"
NGRAM = {"--spec-ngram-simple-size-n": 3, "--spec-ngram-simple-size-m": 4}
# A look-up of the longest n-grams it allows, longer than any text here, never finds one: dense decoding.
NEVER = {"--spec-ngram-simple-size-n": 1024, "--spec-ngram-simple-size-m": 4}


class Failed(Exception):
    """A program ended badly, or said nothing that can be read."""


def busy_seconds():
    """CPU seconds spent on this machine so far, by anyone; None where the system does not say."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Runner:
    """Runs one program at a time and notes how many cores others kept busy meanwhile."""

    def __init__(self, limit_seconds):
        self.limit = limit_seconds
        self.others = []

    def run(self, program, options, *flags):
        command = [str(part) for part in (program, *sum(options.items(), ()), *flags)]
        print("  " + " ".join([Path(command[0]).name] + command[1:]), file=sys.stderr, flush=True)
        own = os.times()
        busy, start = busy_seconds(), time.monotonic()
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=self.limit,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{command[0]} took more than {self.limit} s") from late
        except OSError as missing:
            raise Failed(f"{command[0]} cannot be run: {missing.strerror}") from missing
        seconds, after = time.monotonic() - start, os.times()
        if busy is not None and seconds > 0:
            children = after.children_user + after.children_system - own.children_user - own.children_system
            self.others.append(max(0.0, (busy_seconds() - busy - children) / seconds))
        if done.returncode != 0:
            raise Failed(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
        return done.stdout, done.stderr


def json_lines(text, where):
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise Failed(f"{where} printed no line of JSON")
    return lines


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


# llama.cpp


def llama_bench(runner, bins, model, threads, prompt=0, generate=0, inner=1, extra=None):
    """{"prefill": tokens/s, "decode": tokens/s} of llama-bench; random tokens, no sampler, one untimed warm-up."""
    options = {"-m": model, "-t": threads, "-p": prompt, "-n": generate, "-r": inner, "-o": "jsonl"}
    out, _ = runner.run(bins / "llama-bench", options | (extra or {}))
    rates = {}
    for line in json_lines(out, "llama-bench"):
        kind = "prefill" if line["n_prompt"] else "decode"
        rates[kind] = median(line["samples_ts"])
    return rates


def llama_batches(runner, bins, model, threads, batches):
    """{m: milliseconds} of a pass over m rows with logits for each: llama-batched-bench, m sequences of a few
    tokens that each grow by one token a pass. They share no cache: at this length too small a cost to see."""
    options = {"-m": model, "-t": threads, "-tb": threads, "-c": 2048, "-b": 2048, "-ub": 512}
    lengths = {"-npp": 4, "-ntg": 32, "-npl": ",".join(map(str, batches)), "--output-format": "jsonl"}
    out, err = runner.run(bins / "llama-batched-bench", options | lengths)
    return {line["pl"]: 1e3 * line["t_tg"] / line["tg"] for line in json_lines(out + err, "llama-batched-bench")}


def llama_continue(runner, bins, model, threads, prompt_file, tokens, lookup):
    """Continues a prompt greedily with llama-speculative-simple, drafts by n-gram look-up. Decode time only."""
    options = {"-m": model, "-t": threads, "-tb": threads, "-c": 4096, "-bf": prompt_file, "-n": tokens}
    greedy = {"--temp": 0, "--samplers": "top_k", "--top-k": 1}
    drafts = {"--spec-type": "ngram-simple"} | lookup
    out, err = runner.run(bins / "llama-speculative-simple", options | greedy | drafts, "--no-escape")
    text = out + err

    def numbers(pattern):
        found = re.search(pattern, text)
        if not found:
            raise Failed(f"llama-speculative-simple printed nothing like '{pattern}'")
        return [float(x) for x in found.groups()]

    written, seconds = numbers(r"decoded\s+(\d+) tokens in\s+([\d.]+) seconds")
    accepted = numbers(r"n_accept\s*=\s*(\d+)")[0]
    return {
        "rate": written / seconds,
        "tokens": written,
        "prompt_tokens": numbers(r"encoded\s+(\d+) tokens")[0],
        "per_pass": written / max(1.0, written - accepted),
    }


# nullm


def model_options(model, linear, arith, threads):
    return {"--model": model, "--linear": linear, "--arith": arith, "--threads": threads}


def nullm_passes(runner, programs, options, inner, decode, prefill, batches, depth=0):
    """The line of JSON that `passes` prints."""
    rows = ",".join(map(str, batches))
    work = {"--decode": decode, "--prefill": prefill, "--batches": rows, "--depth": depth, "--repeats": inner}
    out, _ = runner.run(programs / "passes", options | work, "--json")
    return json_lines(out, "passes")[-1]


def nullm_loops(runner, programs, options, *flags):
    """The lines of JSON that `dense_vs_gated` prints. It fails if an answer or a text is not the dense one."""
    out, _ = runner.run(programs / "dense_vs_gated", options | {"--repeats": 1}, "--json", *flags)
    return json_lines(out, "dense_vs_gated")


# The model file


def gguf_numbers(path):
    """The integers among a GGUF file's metadata, by key."""
    sizes = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    with open(path, "rb") as file:

        def take(code):
            return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]

        def value(kind):
            if kind in sizes:
                return take(sizes[kind])
            if kind == 8:
                file.seek(take("Q"), os.SEEK_CUR)
                return None
            if kind == 9:
                inner, count = take("I"), take("Q")
                if inner in sizes:
                    file.seek(count * struct.calcsize("<" + sizes[inner]), os.SEEK_CUR)
                else:
                    for _ in range(count):
                        value(inner)
                return None
            raise Failed(f"{path}: a metadata value of type {kind}")

        if file.read(4) != b"GGUF":
            raise Failed(f"{path} is not a GGUF file")
        take("I"), take("Q")
        numbers = {}
        for _ in range(take("Q")):
            key = file.read(take("Q")).decode()
            found = value(take("I"))
            if isinstance(found, int):
                numbers[key.split(".", 1)[-1]] = found
        return numbers


def cache_bytes_per_position(path):
    """Bytes of keys and values a position adds, two bytes a number."""
    n = gguf_numbers(path)
    heads = n["attention.head_count"]
    length = n["embedding_length"] // heads
    both = n.get("attention.key_length", length) + n.get("attention.value_length", length)
    return 2 * n["block_count"] * n.get("attention.head_count_kv", heads) * both
