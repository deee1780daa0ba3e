"""An NF4 matrix times vectors: bitsandbytes' CPU path against nullm's, on the same codes and scales.

    python3 benchmarks/peers/pypi/nf4.py [--size 4096] [--batches 1,4,16] [--threads 1,2] [--repeats 7] [--json]

Installs the peers of requirements.txt into build/peers on its first run. bitsandbytes runs as its documentation
shows it, a Linear4bit in eval mode: where the processor multiplies bfloat16 it repacks the weights and rounds
inputs and scales to bfloat16, elsewhere it decodes the matrix at every call; that way is measured too
("decoded"), since it alone computes in float32. nullm goes from floats to floats, so its time holds the rounding
of the inputs. Blocks of 64, scales not nested. Ours is held against the fastest of theirs at the same number of
threads. "one matrix" stays in a large cache; "in turn" goes through eight of them, as a model does. Results are
compared with a product in float64.
"""

import peers


def main():
    parser = peers.arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096, help="rows and columns (default 4096)")
    parser.add_argument("--batches", default="1,4,16", help="vectors at a time (default 1,4,16)")
    parser.add_argument("--threads", default="1,2", help="default 1,2")
    chosen = parser.parse_args()
    peers.enter(chosen.environment)

    import logging
    logging.disable(logging.WARNING)  # bitsandbytes would have another package fetch a kernel from a hub
    import bitsandbytes
    import torch
    from bitsandbytes import functional

    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    library = peers.nullm_kernels(chosen.environment)
    n = chosen.size
    turns = 8
    batches = [int(m) for m in chosen.batches.split(",")]
    threads = [int(t) for t in chosen.threads.split(",")]

    def layer(weights):
        made = bitsandbytes.nn.Linear4bit(n, n, bias=False, quant_type="nf4", compress_statistics=False)
        made.weight = bitsandbytes.nn.Params4bit(weights, requires_grad=False, quant_type="nf4", blocksize=64,
                                                 compress_statistics=False)
        return made.to("cpu").eval()

    weights = [torch.randn(n, n) for _ in range(turns)]
    encoded = [functional.quantize_4bit(w, blocksize=64, quant_type="nf4") for w in weights]
    layers = [layer(w) for w in weights]
    exact = functional.dequantize_4bit(encoded[0][0], encoded[0][1])
    nearest = exact.double()
    del weights, exact

    def ours_of(arithmetic, count):
        made = [library.nullm_nf4(n, n, codes.data_ptr(), state.absmax.data_ptr(), arithmetic, count)
                for codes, state in encoded]
        if None in made:
            raise SystemExit("nullm refused the matrix")
        return made

    def section(m, count, in_turn, matrices):
        used = turns if in_turn else 1
        torch.set_num_threads(count)
        x = torch.randn(m, n)
        x16 = x.to(torch.bfloat16)
        y = torch.zeros(m, n)
        rows = peers.Rows()

        def theirs(body):
            def sweep():
                for i in range(used):
                    body(i)
            calls = peers.fitting(sweep)

            def measure():
                torch.set_num_threads(count)
                sweep()
                return peers.seconds_of(sweep, calls) / used
            return measure

        def ours(made):
            def sweep(calls):
                seconds = 0.0
                for _ in range(1 if used == 1 else calls):
                    for handle in made[:used]:
                        seconds += library.nullm_nf4_apply(handle, x.data_ptr(), m, y.data_ptr(),
                                                           calls if used == 1 else 1)
                return seconds / (calls * used)
            calls = max(3, int(0.04 / (sweep(3) * used)))

            def measure():
                sweep(1)
                return sweep(calls)
            return measure

        rows.add("bitsandbytes, float32 in", theirs(lambda i: layers[i](x)))
        rows.add("nullm i8", ours(matrices[8]))
        rows.add("bitsandbytes, bfloat16 in", theirs(lambda i: layers[i](x16)))
        rows.add("nullm i16", ours(matrices[16]))
        rows.add("bitsandbytes, decoded, float32",
                 theirs(lambda i: bitsandbytes.matmul_4bit(x, encoded[i][0], quant_state=encoded[i][1])))
        rows.add("nullm f32", ours(matrices[32]))
        rows.run(chosen.repeats)
        names = list(rows.candidates)
        what = f"{n} x {n}, batch {m}, {count} thread{'s' if count > 1 else ''}, "
        return what + (f"{turns} matrices in turn" if in_turn else "one matrix"), rows, names[0::2], names[1::2]

    def errors(matrices):
        """Root mean square of the error over that of the result, of every candidate."""
        x = torch.randn(16, n)
        wanted = x.double() @ nearest.T

        def error(y):
            return ((y.double() - wanted).square().mean() / wanted.square().mean()).sqrt().item()

        found = {"bitsandbytes, float32 in": error(layers[0](x)),
                 "bitsandbytes, bfloat16 in": error(layers[0](x.to(torch.bfloat16))),
                 "bitsandbytes, decoded, float32":
                     error(bitsandbytes.matmul_4bit(x, encoded[0][0], quant_state=encoded[0][1]))}
        for bits, made in matrices.items():
            y = torch.zeros(16, n)
            library.nullm_nf4_apply(made[0], x.data_ptr(), 16, y.data_ptr(), 1)
            found[f"nullm {'f' if bits == 32 else 'i'}{bits}"] = error(y)
        return found

    sections = []
    checks = {}
    for count in threads:
        matrices = {bits: ours_of(bits, count) for bits in (8, 16, 32)}
        if not checks:
            for name, error in errors(matrices).items():
                checks[f"relative error, {name}"] = f"{error:.2e}"
                # Inputs of 8 bits are the coarsest.
                checks[f"{name} within tolerance"] = error < {"nullm f32": 1e-6, "nullm i16": 1e-3}.get(name, 2e-2)
        for in_turn in (False, True):
            sections += [section(m, count, in_turn, matrices) for m in batches]
        for made in matrices.values():
            for handle in made:
                library.nullm_nf4_free(handle)
    repacked = getattr(layers[0].weight.quant_state, "packing_format_for_cpu", False)
    title = (f"bitsandbytes {bitsandbytes.__version__} ({'bfloat16 kernel' if repacked else 'decoding'}), "
             f"torch {torch.__version__}, against nullm ({library.nullm_kernels().decode()})")
    peers.report(chosen, title, sections, checks)


if __name__ == "__main__":
    main()
