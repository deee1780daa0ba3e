#pragma once
// A model picked at run time: one type over all of them, so that the loops are compiled once and each model
// in a file of its own (models/). Also an example of a Model from outside the library.

#include "options.hpp"

#include <nullm/attention/sampling_counts.hpp>
#include <nullm/model/checkpoint.hpp>
#include <nullm/model/concepts.hpp>
#include <nullm/model/resources.hpp>

#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace cli {

/// What chosen_model asks of the model behind it. A call costs nothing beside a pass through the transformer.
class any_model {
 public:
    struct state {
        virtual ~state() = default;
    };
    using state_pointer = std::unique_ptr<state>;
    using snapshot_pointer = std::shared_ptr<const void>;

    virtual ~any_model() = default;
    virtual state_pointer make_state(const nullm::state_options& resources) const = 0;
    virtual nullm::matrix_view<const float> forward(state& session, std::span<const nullm::token_id> tokens,
                                                    std::size_t wanted) const = 0;
    virtual std::size_t length(const state& session) const = 0;
    virtual std::size_t context(const state& session) const = 0;
    virtual std::size_t vocabulary() const = 0;
    virtual std::size_t weight_bytes() const = 0;
    virtual void truncate(state& session, std::size_t n) const = 0;
    virtual snapshot_pointer save(const state& session) const = 0;
    virtual void restore(state& session, const snapshot_pointer& saved) const = 0;
    virtual std::optional<nullm::sampling_counts> sampling(const state& session) const = 0;
};

class chosen_model {
 public:
    using snapshot = any_model::snapshot_pointer;
    class state {
     public:
        explicit state(const chosen_model& model, const nullm::state_options& resources = {})
            : behind_(model.model_->make_state(resources)) {}

     private:
        friend class chosen_model;
        any_model::state_pointer behind_;
    };

    explicit chosen_model(std::unique_ptr<const any_model> model) : model_(std::move(model)) {}

    nullm::matrix_view<const float> forward(state& session, std::span<const nullm::token_id> tokens,
                                            std::size_t wanted) const {
        return model_->forward(*session.behind_, tokens, wanted);
    }
    std::size_t length(const state& session) const { return model_->length(*session.behind_); }
    std::size_t context(const state& session) const { return model_->context(*session.behind_); }
    std::size_t vocabulary() const { return model_->vocabulary(); }
    std::size_t weight_bytes() const { return model_->weight_bytes(); }
    void truncate(state& session, std::size_t n) const { model_->truncate(*session.behind_, n); }
    snapshot save(const state& session) const { return model_->save(*session.behind_); }
    void restore(state& session, const snapshot& saved) const { model_->restore(*session.behind_, saved); }
    /// How much of the cache was read, if the attention samples.
    std::optional<nullm::sampling_counts> sampling(const state& session) const {
        return model_->sampling(*session.behind_);
    }

 private:
    std::unique_ptr<const any_model> model_;
};
static_assert(nullm::Model<chosen_model>);

/// The model the options name. Throws nullm::error as loading does.
chosen_model load_model(const options& chosen, const nullm::checkpoint& file);

}  // namespace cli
