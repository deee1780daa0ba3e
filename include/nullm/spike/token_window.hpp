#pragma once
// The token a gate is shown and the few before it, as a part of what a step changes.

#include <nullm/core/token.hpp>
#include <nullm/spike/gate.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace nullm::inline NULLM_ABI {

/// The last tokens of a stream, newest first; -1 where there was none.
struct token_window {
    static constexpr std::size_t length = 8;

    std::array<token_id, length> tokens = {-1, -1, -1, -1, -1, -1, -1, -1};

    token_id operator[](std::size_t back) const { return tokens[back]; }
    void push(token_id token) {
        std::copy_backward(tokens.begin(), tokens.end() - 1, tokens.end());
        tokens[0] = token;
    }
    friend bool operator==(const token_window&, const token_window&) = default;
};

/// The window before the position that was stepped last, and that position's token. A position stepped again
/// (a writer that pauses) replaces its token, so that it never becomes context of itself.
struct stepped_window {
    token_window before;
    token_id token = -1;
    std::int64_t position = -1;

    /// What comes before the token that is about to be stepped.
    token_window context_of(const gate_input& input) const {
        token_window context = before;
        if (position >= 0 && input.position != position) context.push(token);
        return context;
    }
    void step(const gate_input& input) {
        before = context_of(input);
        token = input.token;
        position = input.position;
    }
    friend bool operator==(const stepped_window&, const stepped_window&) = default;
};

}  // namespace nullm::inline NULLM_ABI
