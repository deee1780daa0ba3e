#include <nullm/generate/reader.hpp>
#include <nullm/generate/sampler.hpp>
#include <nullm/measure/counters.hpp>
#include <nullm/spike/drives/magnitude_drive.hpp>
#include <nullm/spike/gates.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/loihi_lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/spike_gate.hpp>
#include <nullm/spike/thresholds.hpp>

#include <cmath>
#include <spike/toy_vocabulary.hpp>
#include <support/catch.hpp>
#include <support/hash_gate.hpp>
#include <support/table_model.hpp>
#include <vector>

using nullm::counted_encoder;
using nullm::counted_model;
using nullm::counted_neuron;
using nullm::spike_counts;

namespace {

using neuron = nullm::lif<nullm::reset::zero, nullm::timing::delayed>;

static_assert(nullm::Encoder<counted_encoder<nullm::poisson_encoder>>);
static_assert(nullm::Neuron<counted_neuron<neuron>> && nullm::Neuron<counted_neuron<nullm::loihi_lif>>);
static_assert(nullm::Model<counted_model<support::table_model>>);

struct narrow : nullm::poisson_encoder {
    static constexpr std::size_t fixed_width = 8;
};
static_assert(nullm::width_of<counted_encoder<narrow>> == 8, "a part's width is that of the counted part");

}  // namespace

TEST_CASE("a counted gate decides as the gate it counts", "[measure][counters]") {
    const spike_test::toy_vocabulary toy;
    const nullm::magnitude_drive drive(toy.view());
    const nullm::fixed_threshold threshold(0.2F);
    spike_counts encoded, spiked;
    const nullm::spike_gate plain(drive, nullm::poisson_encoder{}, neuron{}, threshold, {.steps = 3});
    const nullm::spike_gate counted(drive, counted_encoder(nullm::poisson_encoder{}, encoded),
                                    counted_neuron(neuron{}, spiked), threshold, {.steps = 3});
    auto one = plain.initial();
    auto other = counted.initial();
    double rate = 0;
    for (std::int64_t p = 0; p < 40; ++p) {
        const nullm::gate_input input{.token = static_cast<nullm::token_id>(p), .position = p, .seed = 9};
        const auto said = plain.step(one, input);
        const auto counted_said = counted.step(other, input);
        CHECK(said.rate == counted_said.rate);
        CHECK(said.fire == counted_said.fire);
        rate += static_cast<double>(said.rate);
    }
    CHECK(one.now.neurons == other.now.neurons);
    CHECK(encoded.steps == 120);
    CHECK(encoded.lines == 120 * drive.width());
    CHECK((encoded.spikes > 0 && encoded.spikes < encoded.lines));
    CHECK(spiked.steps == 120);
    CHECK(static_cast<double>(spiked.spikes) ==
          Approx(rate / 40 * static_cast<double>(spiked.lines)).epsilon(1e-5));
    CHECK(spiked.sparsity() == Approx(1 - rate / 40).epsilon(1e-5));
}

TEST_CASE("membranes that a step changed are counted, and those at rest are not", "[measure][counters]") {
    spike_counts counts;
    const counted_neuron counted(neuron{.beta = 0.5F, .threshold = 1.0F}, counts);
    neuron::state layer(4);
    nullm::spike_bits out;
    counted.step(layer, std::vector<float>{0, 0.5F, 2, 0}, out);
    CHECK(counts == spike_counts{.steps = 1, .lines = 4, .spikes = 1, .updates = 2});
    counted.step(layer, std::vector<float>{0, 0.25F, 0, 0}, out);  // 0.5 0.5 + 0.25 stays; the spike resets
    CHECK(counts == spike_counts{.steps = 2, .lines = 8, .spikes = 1, .updates = 3});
}

TEST_CASE("nothing counted has no sparsity", "[measure][counters]") {
    CHECK(std::isnan(spike_counts{}.sparsity()));
}

TEST_CASE("a counted model counts each pass once, and answers as the model does", "[measure][counters]") {
    const support::table_model model;
    nullm::pass_counts counts;
    const counted_model counted(model, counts);
    support::table_model::state one, other;
    const std::vector<nullm::token_id> text{0, 1, 2, 3, 2, 1, 0};
    std::uint64_t keys = 0;
    for (const auto [first, m, wanted] : {std::array<std::size_t, 3>{0, 3, 1}, {3, 1, 0}, {4, 3, 3}}) {
        const auto batch = std::span(text).subspan(first, m);
        const auto logits = counted.forward(one, batch, wanted);
        const auto expected = model.forward(other, batch, wanted);
        for (std::size_t r = 0; r < wanted; ++r) {
            CHECK(std::ranges::equal(logits.row(r), expected.row(r)));
        }
        for (std::size_t p = first; p < first + m; ++p) keys += p + 1;
    }
    CHECK(counts ==
          nullm::pass_counts{.passes = 3, .rows = 7, .predictions = 4, .keys = keys, .cached = 3 + 4 + 7});
    counted.truncate(one, 2);
    CHECK(counted.length(one) == 2);
    counted.forward(one, std::span(text).first(1), 0);
    CHECK(counts.keys == keys + 3);
}

TEST_CASE("a pass that fails is not counted", "[measure][counters]") {
    support::table_faults faults{.throw_in = 0};
    const support::table_model model{.faults = &faults};
    nullm::pass_counts counts;
    const counted_model counted(model, counts);
    support::table_model::state session;
    const std::vector<nullm::token_id> text{0, 1};
    CHECK_THROWS_AS(counted.forward(session, text, 1), support::table_failure);
    CHECK(counts == nullm::pass_counts{});
}

TEST_CASE("a reader over a counted model does what its statistics say", "[measure][counters]") {
    const support::table_model model;
    nullm::pass_counts counts;
    const counted_model counted(model, counts);
    nullm::basic_reader reader(counted, support::table_model::state{}, support::hash_gate{.pattern = 0x9244},
                               nullm::greedy{});
    for (nullm::token_id i = 0; i < 16; ++i) reader.push(i % 4);
    CHECK(counts.passes == reader.stats().passes);
    CHECK(counts.rows == reader.stats().rows);
    CHECK(counts.predictions == reader.stats().emitted);
    CHECK(counts.keys == 16 * 17 / 2);  // every position once, whatever the batches
}
