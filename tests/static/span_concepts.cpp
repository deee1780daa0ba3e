// The concept SpanGate: what models it and what does not.
#include <nullm/generate/reader.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/generate/span_gate.hpp>
#include <nullm/spike/gates.hpp>
#include <nullm/spike/quiet_gate.hpp>
#include <nullm/spike/thresholds.hpp>

#include <support/table_model.hpp>

using namespace nullm;

static_assert(SpanGate<span_gate<quiet_gate, fixed_threshold>>);
static_assert(SpanGate<span_gate<always_open, target_rate_threshold>>);
static_assert(SpanGate<random_span_gate>);
static_assert(!SpanGate<quiet_gate> && !SpanGate<always_open>, "a gate of tokens has no ends to decide at");
static_assert(!SpanGate<int>);

struct forgets_to_settle : random_span_gate {
    using random_span_gate::random_span_gate;
    void settle_span(state&, token_id) const;
};
static_assert(Gate<forgets_to_settle> && !SpanGate<forgets_to_settle>);

template <class G>
using reader_with = basic_reader<support::table_model, G, greedy>;
template <class R>
concept ends_spans = requires(R& reader) {
    reader.end_span();
};
static_assert(ends_spans<reader_with<random_span_gate>>);
static_assert(!ends_spans<reader_with<always_open>>, "a reader of tokens has no spans");
