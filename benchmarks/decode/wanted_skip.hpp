#pragma once
// The threshold at which a gate skips a wanted share of a text.

#include <nullm/core/token.hpp>
#include <nullm/generate/gate_log.hpp>
#include <nullm/spike/quiet_gate.hpp>

#include <cmath>
#include <cstdint>
#include <span>

namespace decode {

/// The share of the text's positions at which the gate is silent, as a reader steps it.
inline double skip_rate(const nullm::quiet_gate& gate, std::span<const nullm::token_id> text) {
    nullm::gate_log log(gate, 0);
    std::size_t silent = 0;
    std::int64_t position = 0;
    for (const nullm::token_id token : text) {
        const bool fired = log.step(token, position).fire;
        log.settle(token, position++, fired);
        silent += fired ? 0 : 1;
    }
    return static_cast<double>(silent) / static_cast<double>(text.size());
}

/// The theta of 0, 0.005 ... 1 whose skip rate over this text is nearest to the wanted one. The rate moves in
/// steps, as a population of neurons has only so many spikes, so the nearest can be a few per cent off. No
/// model is run.
inline float theta_for_skip(double wanted, const nullm::importance_drive& drive,
                            std::span<const nullm::token_id> text) {
    float best = 0;
    double off = 2;
    for (int i = 0; i <= 200; ++i) {
        const float theta = static_cast<float>(i) * 0.005F;
        const double miss =
            std::abs(skip_rate(nullm::make_quiet_gate(drive, {.theta = theta}), text) - wanted);
        if (miss < off) {
            off = miss;
            best = theta;
        }
    }
    return best;
}

}  // namespace decode
