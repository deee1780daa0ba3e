#pragma once
// A vocabulary of a few hundred tokens whose function words, and words that behave like them, share a
// direction.

#include <nullm/core/random.hpp>
#include <nullm/spike/drives/function_words.hpp>
#include <nullm/spike/vocabulary.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace spike_test {

struct toy_vocabulary {
    std::size_t size = 400;
    std::size_t width = 37;         // no multiple of the lanes
    std::size_t specials = 3;       // tokens 0, 1, 2
    std::size_t grammatical = 100;  // tokens 3 .. 99: function words first, then words like them
    std::vector<std::string> pieces;
    std::vector<float> table;  // (size, width)

    toy_vocabulary() {
        table.resize(size * width);
        for (std::size_t t = 0; t < size; ++t) {
            pieces.push_back(t >= specials && t - specials < nullm::function_words.size()
                                 ? std::string(nullm::function_words[t - specials])
                                 : "word" + std::to_string(t));
            const bool along = t >= specials && t < grammatical;
            for (std::size_t j = 0; j < width; ++j) {
                const auto index = static_cast<std::uint32_t>(t * width + j);
                // Lengths differ by a factor of four and say nothing.
                const float length =
                    0.5F + 1.5F * nullm::draw_uniform({.seed = 8, .position = static_cast<std::int64_t>(t)});
                table[t * width + j] =
                    length * (nullm::draw_uniform({.seed = 9}, index) - 0.5F + (along ? 0.4F : 0.0F));
            }
        }
    }

    nullm::vocabulary_view view() const {
        return {
            .size = size,
            .width = width,
            .embedding =
                [this](nullm::token_id token, std::span<float> out) {
                    std::copy_n(
                        table.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(token) * width),
                        out.size(), out.begin());
                },
            .piece =
                [this](nullm::token_id token) {
                    return std::string_view(pieces[static_cast<std::size_t>(token)]);
                },
            .special = [this](nullm::token_id token) { return static_cast<std::size_t>(token) < specials; }};
    }
};

}  // namespace spike_test
