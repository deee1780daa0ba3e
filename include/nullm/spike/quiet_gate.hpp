#pragma once
// The spike gate most users want, with its parts chosen and their numbers set.

#include <nullm/spike/drives/quiet_drive.hpp>
#include <nullm/spike/in_range.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/spike_gate.hpp>
#include <nullm/spike/thresholds.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// A population with thresholds spread evenly over (lowest, highest), in units of one encoder spike's
/// current. Those below 1 spike on every input spike, so that the rate follows the current token at once;
/// those above 1 spike only if charge is left from the positions before, so that doubt over several tokens
/// adds up. Equal thresholds would give one or the other: a current of one size either crosses a threshold
/// alone or never does.
inline lif<reset::zero, timing::delayed> spread_population(std::size_t neurons, float beta, float lowest,
                                                           float highest) {
    std::vector<float> thresholds(neurons);
    for (std::size_t i = 0; i < neurons; ++i) {
        const float share = (static_cast<float>(i) + 0.5F) / static_cast<float>(neurons);
        thresholds[i] = std::fmaf(highest - lowest, share, lowest);
    }
    return {.beta = beta, .threshold = std::move(thresholds)};
}

/// Theta was fitted on positions 40,000 to 150,000 of the WikiText-2 test file for 60 % skipped. The first
/// 40,000 positions (SmolLM2-135M-Instruct; rare: at most 5 uses in the file's second half; numbers: tokens
/// with a digit; names: is_capitalised; bits: the share of the dense model's surprisal that falls on
/// positions fired):
///     theta            0.15  0.20  0.24  0.28  0.32  0.34  0.36  0.40  0.50
///     fired, %           72    61    55    49    42    39    36    32    23
///     rare kept, %       99    99    98    97    96    94    93    90    77
///     numbers, %        100   100    95    72    37    21    13     6     2
///     names, %          100   100    98    92    84    78    74    66    49
///     bits, %            88    80    75    70    64    60    57    52    41
/// With parts of the default drive in its place, theta such that half or 40 % fires:
///                                   AUROC  |     rare     |   numbers    |    names     |     bits
///                                  of rare | 50 %   40 %  | 50 %   40 %  | 50 %   40 %  | 50 %   40 %
///     quiet_drive                    .928  | .97    .95   | .75    .27   | .93    .81   | .70    .61
///     importance_drive               .941  | .99    .93   | 1.0    .97   | 1.0    .89   | .65    .52
///       without floors               .957  | 1.0    .99   | .02    .00   | .85    .77   | .68    .59
///       nor novelty                  .950  | .99    .98   | .04    .00   | .83    .78   | .66    .57
///     surprise_drive                 .754  | .76    .74   | .07    .05   | .59    .52   | .74    .65
///     magnitude_drive, literally     .555  | .58    .45   | .47    .31   | .40    .27   | .49    .35
/// Two seeds decide differently at 5 % of positions. The share fired varies with the text (27 to 46 % over
/// 2,000 positions of that file): target_rate_threshold in place of the fixed one holds it.
struct quiet_gate_params {
    float theta = 0.34F;  // rate at which the gate fires, in [0, 1]
    float beta = 0.5F;    // charge kept a position: of one spike a quarter is left after two
    // Two thirds of the neurons (threshold below 1) answer the current token alone, one third needs up to a
    // quarter of a spike left from before.
    float lowest = 0.5F;
    float highest = 1.25F;
};

/// The population as a neuron of its own, which a policy can name: made for a width with the parameters
/// above.
struct quiet_neuron : lif<reset::zero, timing::delayed> {
    static quiet_neuron build(std::size_t neurons, const quiet_gate_params& params = {}) {
        return {spread_population(neurons, params.beta, params.lowest, params.highest)};
    }
};

/// A gate of that population over any drive.
template <Drive D>
using quiet_gate_of = spike_gate<D, poisson_encoder, quiet_neuron, fixed_threshold>;
using quiet_gate = quiet_gate_of<quiet_drive>;

/// Throws nullm::error for a theta outside [0, 1].
template <Drive D>
quiet_gate_of<D> make_quiet_gate(const D& drive, const quiet_gate_params& params = {}) {
    return {drive, poisson_encoder{}, quiet_neuron::build(drive.width(), params),
            fixed_threshold(params.theta)};
}

/// Builds the drive too. Throws nullm::error as quiet_drive::build does, and for a theta outside [0, 1].
inline quiet_gate make_quiet_gate(const vocabulary_view& vocabulary, const quiet_gate_params& params = {},
                                  const quiet_drive_params& drive = {}) {
    return make_quiet_gate(quiet_drive::build(vocabulary, drive), params);
}

}  // namespace nullm::inline NULLM_ABI
