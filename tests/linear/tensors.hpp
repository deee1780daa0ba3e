#pragma once
// Random tensors in every storage format, and the double-precision product they are judged by.

#include <nullm/core/half.hpp>
#include <nullm/core/isa.hpp>
#include <nullm/core/matrix_view.hpp>
#include <nullm/core/random.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/linear/dequantize.hpp>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

namespace tensors {

inline constexpr nullm::tensor_type all_types[] = {nullm::tensor_type::f32,  nullm::tensor_type::f16,
                                                   nullm::tensor_type::bf16, nullm::tensor_type::q4_0,
                                                   nullm::tensor_type::q4_1, nullm::tensor_type::q8_0};

inline constexpr nullm::isa all_levels[] = {nullm::isa::scalar, nullm::isa::avx2, nullm::isa::avx512,
                                            nullm::isa::vnni};

inline bool is_quantized(nullm::tensor_type type) {
    return type >= nullm::tensor_type::q4_0;
}

/// A seeded sequence of draws.
class generator {
 public:
    explicit generator(std::uint64_t seed) : key_{.seed = seed} {}
    std::uint32_t bits() { return nullm::draw_u32(key_, next_++); }
    float uniform(float low, float high) { return low + (high - low) * nullm::draw_uniform(key_, next_++); }
    /// Sum of four uniforms: bell-shaped, variance 1.
    float normal() {
        float sum = 0;
        for (int i = 0; i < 4; ++i) sum += uniform(-1, 1);
        return sum * std::sqrt(0.75F);
    }

 private:
    nullm::draw_key key_;
    std::uint32_t next_ = 0;
};

/// A tensor that owns its bytes, which start at an odd address.
struct owned_tensor {
    std::string name;
    nullm::tensor_type type = nullm::tensor_type::f32;
    std::size_t rows = 0, cols = 0;
    std::vector<std::byte> storage;

    owned_tensor(nullm::tensor_type t, std::size_t r, std::size_t c)
        : name("test"),
          type(t),
          rows(r),
          cols(c),
          storage(r * c / nullm::block_elements(t) * nullm::block_bytes(t) + 1) {}

    std::byte* bytes() { return storage.data() + 1; }
    nullm::tensor_view view() const { return {name, type, rows, cols, std::span(storage).subspan(1)}; }
};

template <class T>
void put(std::byte* p, T value) {
    std::memcpy(p, &value, sizeof(T));
}

/// Weights of about unit variance; codes cover their whole range, Q8_0's -128 included.
inline owned_tensor random_tensor(nullm::tensor_type type, std::size_t rows, std::size_t cols,
                                  std::uint64_t seed) {
    owned_tensor tensor(type, rows, cols);
    generator random(seed);
    const std::size_t step = nullm::block_bytes(type);
    const std::size_t blocks = rows * cols / nullm::block_elements(type);
    for (std::size_t b = 0; b < blocks; ++b) {
        std::byte* p = tensor.bytes() + b * step;
        switch (type) {
            case nullm::tensor_type::f32:
                put(p, random.normal());
                break;
            case nullm::tensor_type::f16:
                put(p, nullm::to_f16(random.normal()));
                break;
            case nullm::tensor_type::bf16:
                put(p, nullm::to_bf16(random.normal()));
                break;
            default:
                for (std::size_t i = 0; i < step; ++i) p[i] = static_cast<std::byte>(random.bits());
                const float range = type == nullm::tensor_type::q8_0 ? 70.0F : 5.0F;
                put(p, nullm::to_f16(random.uniform(0.5F, 1.5F) / range));
                if (type == nullm::tensor_type::q4_1) put(p + 2, nullm::to_f16(random.uniform(-2.0F, -1.0F)));
        }
    }
    return tensor;
}

/// m x cols, bell-shaped; every 97th value twenty times as large, as activations have it.
inline std::vector<float> random_rows(std::size_t m, std::size_t cols, std::uint64_t seed) {
    generator random(seed);
    std::vector<float> x(m * cols);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = random.normal() * (i % 97 == 0 ? 20.0F : 1.0F);
    return x;
}

/// The tensor as floats, rows x cols.
inline std::vector<float> dequantized(const nullm::tensor_view& tensor) {
    std::vector<float> w(tensor.rows * tensor.cols);
    for (std::size_t r = 0; r < tensor.rows; ++r) {
        nullm::dequantize_row(tensor, r, std::span(w).subspan(r * tensor.cols, tensor.cols));
    }
    return w;
}

}  // namespace tensors
