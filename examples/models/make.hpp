#pragma once
// One linear layer's models: every attention, every cache.

#include "../chosen_model.hpp"

#include <nullm/attention/exact_attention.hpp>
#include <nullm/attention/lsh_attention.hpp>
#include <nullm/attention/sketch_attention.hpp>
#include <nullm/model/llama.hpp>

#include <memory>
#include <optional>
#include <span>

namespace cli {

template <nullm::Model M>
class model_behind final : public any_model {
 public:
    template <class... Arguments>
    explicit model_behind(Arguments&&... arguments) : model_(std::forward<Arguments>(arguments)...) {}

    state_pointer make_state(const nullm::state_options& resources) const override {
        return std::make_unique<held>(model_, resources);
    }
    nullm::matrix_view<const float> forward(state& session, std::span<const nullm::token_id> tokens,
                                            std::size_t wanted) const override {
        return model_.forward(in(session), tokens, wanted);
    }
    std::size_t length(const state& session) const override { return model_.length(in(session)); }
    std::size_t context(const state& session) const override { return model_.context(in(session)); }
    std::size_t vocabulary() const override { return model_.vocabulary(); }
    std::size_t weight_bytes() const override { return model_.weight_bytes(); }
    void truncate(state& session, std::size_t n) const override { model_.truncate(in(session), n); }
    snapshot_pointer save(const state& session) const override {
        return std::make_shared<const typename M::snapshot>(model_.save(in(session)));
    }
    void restore(state& session, const snapshot_pointer& saved) const override {
        model_.restore(in(session), *static_cast<const typename M::snapshot*>(saved.get()));
    }
    std::optional<nullm::sampling_counts> sampling(const state& session) const override {
        if constexpr (requires { model_.counts(in(session)); }) {
            return model_.counts(in(session));
        } else {
            return std::nullopt;
        }
    }

 private:
    struct held final : state {
        held(const M& model, const nullm::state_options& resources) : session(model, resources) {}
        typename M::state session;
    };
    static typename M::state& in(state& session) { return static_cast<held&>(session).session; }
    static const typename M::state& in(const state& session) {
        return static_cast<const held&>(session).session;
    }

    M model_;
};

/// The model over `Linear` with the attention and cache the options name.
template <nullm::Linear L>
std::unique_ptr<const any_model> make_model(const options& chosen, const nullm::checkpoint& file) {
    const auto with = [&]<class T>(T) -> std::unique_ptr<const any_model> {
        const nullm::load_options how{.threads = chosen.threads};
        if (chosen.attends() == attention::lsh) {
            using lsh = nullm::lsh_attention<nullm::lsh_shape{}, T>;
            return std::make_unique<model_behind<nullm::llama<L, lsh>>>(
                file, how, lsh{.sampler = {.seed = chosen.seed}});
        }
        if (chosen.attends() == attention::sketch) {
            using sketch = nullm::sketch_attention<2, T>;
            return std::make_unique<model_behind<nullm::llama<L, sketch>>>(
                file, how, sketch{.sampler = {.seed = chosen.seed}});
        }
        return std::make_unique<model_behind<nullm::llama<L, nullm::exact_attention<T>>>>(file, how);
    };
    switch (chosen.cache) {
        case cache::f16:
            return with(nullm::f16{});
        case cache::bf16:
            return with(nullm::bf16{});
        case cache::f32:
            break;
    }
    return with(float{});
}

// Each in a file of its own.
using maker = std::unique_ptr<const any_model>(const options&, const nullm::checkpoint&);
maker make_native_i16, make_native_i8, make_native_f32, make_nf4_i16, make_nf4_i8, make_nf4_f32,
    make_dense_f32;

}  // namespace cli
