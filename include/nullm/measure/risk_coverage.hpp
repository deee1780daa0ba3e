#pragma once
// Answering where a score is high and keeping silent elsewhere: how wrong are the answers, over all shares
// answered?

#include <nullm/core/abi.hpp>
#include <nullm/measure/ranking.hpp>

namespace nullm::inline NULLM_ABI {

/// Area under the risk-coverage curve (Geifman and El-Yaniv, NeurIPS 2017): the mean, over k = 1 ... n, of
/// the mean loss of the k positions ranked highest. A loss is 1 where the model is wrong and 0 where it is
/// right, or any number. Within a run of equal scores the loss grows evenly, which is its mean over the
/// orders the run may have. A score without information gives the mean loss; the best order gives
/// aurc(ranking(-losses), losses). NaN of no positions. O(n). Throws nullm::error if the lengths differ.
template <NumberRange Losses>
double aurc(const ranking& ranked, const Losses& losses, multiplicities counts = {}) {
    double accepted = 0, lost = 0, area = 0;
    detail::for_each_run("aurc", ranked, losses, counts, [&](double size, double loss) {
        for (double k = 1; k <= size; ++k) area += (lost + loss * (k / size)) / (accepted + k);
        accepted += size;
        lost += loss;
    });
    return area / accepted;
}

/// Area under the generalised risk-coverage curve (Traub et al., NeurIPS 2024): the integral, over the share
/// answered, of the losses among the answers divided by all positions: the mean risk of a wrong answer that
/// nobody caught. In contrast to aurc() the few highest scores do not outweigh the rest. With losses of 0 and
/// 1 and accuracy a it is (1 - A) a (1 - a) + (1 - a)^2 / 2, where A is the score's AUROC for right answers.
/// NaN of no positions. O(n). Throws nullm::error if the lengths differ.
template <NumberRange Losses>
double augrc(const ranking& ranked, const Losses& losses, multiplicities counts = {}) {
    double accepted = 0, lost = 0, area = 0;
    detail::for_each_run("augrc", ranked, losses, counts, [&](double size, double loss) {
        area += size * (lost + loss / 2);
        accepted += size;
        lost += loss;
    });
    return area / (accepted * accepted);
}

}  // namespace nullm::inline NULLM_ABI
