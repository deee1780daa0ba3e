"""A LIF step and a rate encoder: snnTorch in eager mode against nullm's kernels, on the same arrays.

    python3 benchmarks/peers/pypi/spikes.py [--repeats 7] [--json]

Installs the peers of requirements.txt into build/peers on its first run. snnTorch runs as its documentation
shows it: a module called step by step, without gradients, on one torch thread and on two; ours is held against
the faster. nullm runs on one thread, with spikes as bits (what its gates use) and as floats (what snnTorch
gives). The steps' spikes and membranes are compared bit for bit in the same run, the encoder's draws with the
encoder that imitates torch's generator.
"""

import peers


def main():
    parser = peers.arguments(__doc__.splitlines()[0])
    chosen = parser.parse_args()
    peers.enter(chosen.environment)

    import snntorch
    import torch
    from snntorch import spikegen

    torch.set_grad_enabled(False)
    library = peers.nullm_kernels(chosen.environment)
    beta, threshold = 0.9, 1.0
    resets = ["subtract", "zero", "none"]

    def bits_as_floats(words, n):
        return ((words.unsqueeze(1) >> torch.arange(64)) & 1).flatten()[:n].float()

    def words_for(n):
        return torch.zeros((n + 63) // 64, dtype=torch.int64)

    def same_steps(n, steps):
        """Whether both give the same spikes and membranes under every reset, as bits and as floats."""
        for reset in range(3):
            for immediate in (0, 1):
                layer = snntorch.Leaky(beta=beta, threshold=threshold, reset_mechanism=resets[reset],
                                       reset_delay=not immediate)
                theirs = torch.zeros(1, n)
                ours, as_floats, words, floats = torch.zeros(n), torch.zeros(n), words_for(n), torch.zeros(n)
                for _ in range(steps):
                    current = torch.randn(1, n)
                    spikes, theirs = layer(current, theirs)
                    common = (current.data_ptr(), n, 1)
                    kind = (reset, immediate, beta, threshold)
                    library.nullm_lif(ours.data_ptr(), *common, words.data_ptr(), None, *kind)
                    library.nullm_lif(as_floats.data_ptr(), *common, None, floats.data_ptr(), *kind)
                    membranes = theirs[0].view(torch.int32)
                    if not (torch.equal(membranes, ours.view(torch.int32))
                            and torch.equal(membranes, as_floats.view(torch.int32))
                            and torch.equal(spikes[0], bits_as_floats(words, n))
                            and torch.equal(spikes[0], floats)):
                        return False
        return True

    def lif_section(n, reset):
        rows = peers.Rows()
        layer = snntorch.Leaky(beta=beta, threshold=threshold, reset_mechanism=resets[reset])
        current = torch.rand(1, n) * 0.5
        carried = {"membrane": torch.zeros(1, n)}

        def step():
            _, carried["membrane"] = layer(current, carried["membrane"])

        def theirs(threads):
            def measure():
                torch.set_num_threads(threads)
                return peers.seconds_of(step, calls)
            return measure

        membrane, words, floats = torch.zeros(n), words_for(n), torch.zeros(n)

        def ours(bits):
            def measure():
                spikes = (words.data_ptr(), None) if bits else (None, floats.data_ptr())
                return library.nullm_lif(membrane.data_ptr(), current.data_ptr(), n, steps, *spikes, reset, 0,
                                         beta, threshold) / steps
            return measure

        calls = peers.fitting(step)
        steps = max(50, 20_000_000 // n)
        rows.add("snnTorch, 1 thread", theirs(1))
        rows.add("nullm, spikes as bits", ours(True))
        rows.add("snnTorch, 2 threads", theirs(2))
        rows.add("nullm, spikes as floats", ours(False))
        rows.run(chosen.repeats)
        names = list(rows.candidates)
        return f"LIF step, reset {resets[reset]}, {n} neurons", rows, names[0::2], names[1::2]

    def encoder_section(n):
        rows = peers.Rows()
        intensities = torch.rand(n)
        words = words_for(n)
        at_once = 100 if n < 2**16 else 8

        def encode():
            spikegen.rate(intensities, num_steps=1)

        def many():
            spikegen.rate(intensities, num_steps=at_once)

        calls = peers.fitting(encode)
        batches = peers.fitting(many)
        steps = max(20, 10_000_000 // n)

        def theirs():
            torch.set_num_threads(1)
            return peers.seconds_of(encode, calls)

        def theirs_at_once():
            torch.set_num_threads(1)
            return peers.seconds_of(many, batches) / at_once

        def ours():
            return library.nullm_encode(intensities.data_ptr(), n, steps, 1, 0, words.data_ptr()) / steps

        rows.add("spikegen.rate, a step a call", theirs)
        rows.add("nullm, spikes as bits", ours)
        rows.add(f"spikegen.rate, {at_once} steps a call", theirs_at_once)
        rows.run(chosen.repeats)
        heading = f"Rate encoder, {n} neurons"
        ours_alone = ["nullm, spikes as bits"]
        return [(heading, rows, ["spikegen.rate, a step a call"], ours_alone),
                (f"{heading}, all steps at once", rows, [f"spikegen.rate, {at_once} steps a call"], ours_alone)]

    def same_draws(n, rows):
        intensities, words = torch.rand(n), words_for(n)
        torch.manual_seed(7)
        theirs = spikegen.rate(intensities, num_steps=rows)
        for row in range(rows):
            library.nullm_encode_as_torch(intensities.data_ptr(), n, 7, row, words.data_ptr())
            if not torch.equal(theirs[row], bits_as_floats(words, n)):
                return False
        return True

    def right_rates(n, steps):
        """Whether the encoder's spikes are as many as its intensities ask for, within five standard deviations."""
        intensities, words = torch.rand(n), words_for(n)
        spikes = 0.0
        for position in range(steps):
            library.nullm_encode(intensities.data_ptr(), n, 1, 1, position, words.data_ptr())
            spikes += bits_as_floats(words, n).sum().item()
        p = intensities.double()
        spread = (steps * (p * (1 - p)).sum().item()) ** 0.5
        return abs(spikes - steps * p.sum().item()) < 5 * spread

    checks = {
        "LIF spikes and membranes equal bit for bit, six resets, 576 neurons, 100 steps": same_steps(576, 100),
        "the same, 2^20 + 3 neurons, 3 steps": same_steps(2**20 + 3, 3),
        "draws of the encoder that imitates torch's equal, 20 steps": same_draws(576, 20),
        "the encoder's spike counts as its intensities say": right_rates(576, 1000),
    }
    sections = [lif_section(n, reset) for n in (576, 2**20) for reset in (0, 1)]
    for n in (576, 2**20):
        sections += encoder_section(n)
    kernels = library.nullm_kernels().decode()
    title = f"snnTorch {snntorch.__version__}, torch {torch.__version__}, against nullm ({kernels})"
    peers.report(chosen, title, sections, checks)


if __name__ == "__main__":
    main()
