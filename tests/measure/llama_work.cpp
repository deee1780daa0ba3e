#include <nullm/measure/llama_work.hpp>

#include <support/catch.hpp>

namespace {

// SmolLM2-135M.
const nullm::llama_config shape{.layers = 30,
                                .width = 576,
                                .heads = 9,
                                .kv_heads = 3,
                                .head_size = 64,
                                .mlp_width = 1536,
                                .vocabulary = 49152};

}  // namespace

TEST_CASE("a position of SmolLM2-135M costs 106 million multiplications, and its logits 28 million",
          "[measure][llama_work]") {
    const nullm::llama_work work(shape);
    CHECK(work.layer_macs == 106168320);
    CHECK(work.head_macs == 28311552);
    CHECK(work.key_macs == 2 * 30 * 9 * 64);
    CHECK(work.key_elements == 2 * 30 * 3 * 64);
}

TEST_CASE("rows pay for the layers, predictions for the head, and rows and keys for attention",
          "[measure][llama_work]") {
    const nullm::llama_work work(shape);
    const nullm::pass_counts counts{.passes = 2, .rows = 5, .predictions = 3, .keys = 15, .cached = 9};
    CHECK(work.macs(counts) == 5 * 106168320ULL + 3 * 28311552ULL + 15 * 34560ULL);
    CHECK(work.bytes(counts, 1000, 2) == 2 * 1000 + 9 * 11520 * 2);
}
