#include <nullm/linear/repack.hpp>

#include "tensors.hpp"

#include <nullm/core/aligned.hpp>

#include <support/catch.hpp>

using namespace tensors;
using nullm::tensor_type;

namespace {

template <class Format>
void check_codes(const owned_tensor& tensor) {
    const auto view = tensor.view();
    const std::size_t size = nullm::tile_bytes(view.type, view.cols);
    for (std::size_t t = 0; t < nullm::tiles_of(view.rows); ++t) {
        nullm::aligned_vector<std::byte> tile(size);
        nullm::repack_tile(view, t, tile.data());
        for (std::size_t lane = 0; lane < 16; ++lane) {
            const std::size_t row = t * 16 + lane;
            for (std::size_t b = 0; b < 2 * nullm::groups_of(view.cols); ++b) {
                const std::byte* group = tile.data() + b / 2 * nullm::group_bytes<Format>;
                const auto d = nullm::read_unaligned<std::uint16_t>(group + (b % 2 * 16 + lane) * 2);
                const bool there = row < view.rows && b < view.cols / 32;
                if (!there) {
                    REQUIRE(d == 0);
                    continue;
                }
                const std::byte* block = view.row(row).data() + b * nullm::block_bytes(view.type);
                REQUIRE(d == nullm::read_unaligned<std::uint16_t>(block));
                if (Format::has_min) {
                    REQUIRE(nullm::read_unaligned<std::uint16_t>(group + (32 + b % 2 * 16 + lane) * 2) ==
                            nullm::read_unaligned<std::uint16_t>(block + 2));
                }
                const std::byte* words = group + nullm::codes_at<Format> + b % 2 * Format::words * 64;
                nullm::for_each_code(view.type, block, [&](unsigned element, unsigned code) {
                    const auto word = nullm::read_unaligned<std::uint32_t>(
                        words + (nullm::word_of<Format>(element) * 16 + lane) * 4);
                    const unsigned found = (word >> nullm::shift_of<Format>(element)) & Format::max_code;
                    REQUIRE(found == code);
                });
            }
        }
    }
}

}  // namespace

TEST_CASE("tiles hold every scale and code of the tensor, and zero scales where it ends", "[linear]") {
    for (const std::size_t rows : {1, 16, 33}) {
        for (const std::size_t cols : {32, 64, 96}) {
            check_codes<nullm::q4_0_format>(random_tensor(tensor_type::q4_0, rows, cols, 1));
            check_codes<nullm::q4_1_format>(random_tensor(tensor_type::q4_1, rows, cols, 2));
            check_codes<nullm::q8_0_format>(random_tensor(tensor_type::q8_0, rows, cols, 3));
        }
    }
}

TEST_CASE("the pairs and fours a kernel takes out of a word are those the layout names", "[linear]") {
    for (unsigned e = 0; e < 32; ++e) {
        // i8: low nibbles of the four bytes are elements 0..3 of eight, high ones 4..7.
        CHECK(nullm::shift_of<nullm::q4_0_format>(e) == 8 * (e % 4) + (e % 8 >= 4 ? 4 : 0));
        CHECK(nullm::word_of<nullm::q4_0_format>(e) == e / 8);
        CHECK(nullm::shift_of<nullm::q8_0_format>(e) == 8 * (e % 4));
        CHECK(nullm::word_of<nullm::q8_0_format>(e) == e / 4);
    }
}

TEST_CASE("groups and float tiles fill whole cache lines", "[linear]") {
    CHECK(nullm::group_bytes<nullm::q4_0_format> == 64 + 512);
    CHECK(nullm::group_bytes<nullm::q4_1_format> == 128 + 512);
    CHECK(nullm::group_bytes<nullm::q8_0_format> == 64 + 1024);
    for (const tensor_type type : all_types) {
        for (const std::size_t cols : {1, 7, 32, 33, 96}) CHECK(nullm::tile_bytes(type, cols) % 64 == 0);
    }
}

TEST_CASE("float tiles hold column after column", "[linear]") {
    const auto tensor = random_tensor(tensor_type::f16, 20, 7, 4);
    nullm::aligned_vector<std::byte> tile(nullm::tile_bytes(tensor_type::f16, 7));
    nullm::repack_tile(tensor.view(), 1, tile.data());
    for (std::size_t k = 0; k < 7; ++k) {
        for (std::size_t lane = 0; lane < 16; ++lane) {
            const auto found = nullm::read_unaligned<std::uint16_t>(tile.data() + (k * 16 + lane) * 2);
            const auto expected =
                lane < 4 ? nullm::read_unaligned<std::uint16_t>(tensor.view().row(16 + lane).data() + 2 * k)
                         : std::uint16_t{0};
            REQUIRE(found == expected);
        }
    }
}
