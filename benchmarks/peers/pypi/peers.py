"""What the comparisons with PyPI's packages share: the peers' environment, nullm's kernels, medians and tables."""

import argparse
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import venv

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--environment", type=pathlib.Path, default=REPOSITORY / "build" / "peers",
                        help="folder for the peers' virtual environment and nullm's kernels (default build/peers)")
    parser.add_argument("--repeats", type=int, default=7, help="interleaved repeats (default 7)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON in place of the table")
    return parser


def enter(environment):
    """Goes on in the peers' environment, which is made if it is not there. torch is some gigabytes: PyPI has no
    wheel of it for the processor alone."""
    environment = environment.resolve()
    python = environment / "bin" / "python"
    if pathlib.Path(sys.prefix).resolve() == environment:
        return
    if not (environment / "installed").exists():
        venv.create(environment, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True,
                       stdout=sys.stderr)
        (environment / "installed").touch()
    os.execv(python, [str(python), *sys.argv])


def compiled(environment, name):
    """A source of this folder as a library, compiled with no flag but optimisation: it picks its instructions at run
    time."""
    source = HERE / f"{name}.cpp"
    library = environment / f"nullm_{name}.so"
    newest = max(p.stat().st_mtime for p in [source, *(REPOSITORY / "include").rglob("*.[hi]*")])
    if not library.exists() or library.stat().st_mtime < newest:
        started = f"{library}.{os.getpid()}"
        subprocess.run([os.environ.get("CXX", "c++"), "-std=c++20", "-O3", "-shared", "-fPIC", "-pthread",
                        f"-I{REPOSITORY / 'include'}", str(source), "-o", started], check=True)
        os.replace(started, library)
    return ctypes.CDLL(str(library))


def nullm_kernels(environment):
    """nullm's side of what is timed."""
    loaded = compiled(environment, "kernels")
    pointer, size, real = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_float
    for name, result, parameters in [
        ("nullm_kernels", ctypes.c_char_p, []),
        ("nullm_lif", ctypes.c_double, [pointer, pointer, size, size, pointer, pointer, ctypes.c_int,
                                        ctypes.c_int, real, real]),
        ("nullm_encode", ctypes.c_double, [pointer, size, size, ctypes.c_uint64, ctypes.c_int64, pointer]),
        ("nullm_encode_as_torch", ctypes.c_int, [pointer, size, ctypes.c_uint64, ctypes.c_int64, pointer]),
        ("nullm_nf4", pointer, [size, size, pointer, pointer, ctypes.c_int, ctypes.c_uint]),
        ("nullm_nf4_apply", ctypes.c_double, [pointer, pointer, size, pointer, size]),
        ("nullm_nf4_free", None, [pointer]),
    ]:
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, parameters
    return loaded


def nullm_decoder(environment):
    """nullm's reading of a checkpoint."""
    loaded = compiled(environment, "decode")
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, parameters in [("nullm_open", pointer, [text]), ("nullm_close", None, [pointer]),
                                     ("nullm_decode", ctypes.c_int, [pointer, text, pointer, ctypes.c_size_t])]:
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, parameters
    return loaded


def seconds_of(body, times):
    """Seconds one call takes, in a loop as a user writes it."""
    start = time.perf_counter()
    for _ in range(times):
        body()
    return (time.perf_counter() - start) / times


def fitting(body, seconds=0.04):
    """How many calls fill about this time."""
    body()
    once = seconds_of(body, 3)
    return max(3, int(seconds / once))


class Rows:
    """Runs every candidate once a repeat, one after the other: medians, and ratios within a repeat."""

    def __init__(self):
        self.candidates = {}
        self.seen = {}

    def add(self, name, measure):
        """measure() gives seconds a call."""
        self.candidates[name] = measure

    def run(self, repeats):
        self.seen = {name: [] for name in self.candidates}
        for repeat in range(repeats + 1):
            for name, measure in self.candidates.items():
                time.sleep(0.02)  # the other side's threads spin for a while before they sleep
                seconds = measure()
                if seconds < 0:
                    raise SystemExit(f"{name} was refused")
                if repeat > 0:  # the first round is not counted
                    self.seen[name].append(seconds)

    def median(self, name):
        return statistics.median(self.seen[name])

    def ratio(self, peer, ours):
        """How many times faster ours is: median, lowest and highest of the repeats."""
        ratios = [a / b for a, b in zip(self.seen[peer], self.seen[ours])]
        return statistics.median(ratios), min(ratios), max(ratios)

    def fastest(self, names):
        return min(names, key=self.median)


def time_of(seconds):
    return f"{seconds * 1e9:.0f} ns" if seconds < 1e-5 else f"{seconds * 1e6:.1f} us"


def report(chosen, title, sections, checks):
    """sections: (heading, Rows, peers, ours). Every one of ours is held against the fastest of the peers."""
    result = {"title": title, "repeats": chosen.repeats, "checks": checks, "rows": []}
    for heading, rows, peers, ours in sections:
        best = rows.fastest(peers)
        for name in [*peers, *ours]:
            line = {"what": heading, "name": name, "seconds": rows.median(name),
                    "lowest": min(rows.seen[name]), "highest": max(rows.seen[name])}
            if name in ours:
                line["against"] = best
                line["ratio"], line["ratio_lowest"], line["ratio_highest"] = rows.ratio(best, name)
            result["rows"].append(line)
    if chosen.json:
        print(json.dumps(result))
    else:
        print(f"{title}, median of {chosen.repeats} interleaved repeats (lowest - highest)")
        for heading, _, _, _ in sections:
            print(f"\n{heading}")
            for line in (row for row in result["rows"] if row["what"] == heading):
                spread = f"({time_of(line['lowest'])} - {time_of(line['highest'])})"
                text = f"  {line['name']:<34} {time_of(line['seconds']):>10}  {spread:<26}"
                if "ratio" in line:
                    text += f" {line['ratio']:8.2f} x ({line['ratio_lowest']:.2f} - {line['ratio_highest']:.2f})"
                    text += f" {line['against']}"
                print(text)
        print()
        for what, found in checks.items():
            print(f"{what}: {found}")
    if any(found is False for found in checks.values()):
        raise SystemExit("results differ")
