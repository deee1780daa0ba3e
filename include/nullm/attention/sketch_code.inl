// A rotated vector as codes of a few bits; included once per instruction set by sketch_code.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// Codes of x, `width` elements (a multiple of 16), on the grid of 2^bits odd numbers times `step`: code c
/// stands for 2 c - (2^bits - 1). Returns grid . x and |grid|^2, in units of the grid.
template <int bits>
void round_to_grid(const float* x, std::size_t width, float step, std::int32_t* codes, float& dot,
                   float& square) {
    constexpr float top = static_cast<float>((1 << bits) - 1);
    const f32x16 inverse = splat(0.5F / step);
    f32x16 dots = zeros();
    f32x16 squares = zeros();
    for (std::size_t d = 0; d < width; d += 16) {
        const f32x16 v = load(x + d);
        const i32x16 code = round_to_int(min(max(fma(v, inverse, splat(0.5F * top)), zeros()), splat(top)));
        const f32x16 grid = fma(to_float(code), splat(2.0F), splat(-top));
        dots = fma(grid, v, dots);
        squares = fma(grid, grid, squares);
        store(codes + d, code);
    }
    dot = reduce_add(dots);
    square = reduce_add(squares);
}

/// codes[d] = round(x[d] factor) of `width` elements, a multiple of 16, in [-127, 127]; returns their sum.
inline std::int32_t round_to_bytes(const float* x, std::size_t width, float factor, std::int8_t* codes) {
    std::int32_t sum = 0;
    for (std::size_t d = 0; d < width; d += 16) {
        std::int32_t lane[16];
        store(lane, round_to_int(mul(load(x + d), splat(factor))));
        for (std::size_t l = 0; l < 16; ++l) {
            codes[d + l] = static_cast<std::int8_t>(lane[l]);
            sum += lane[l];
        }
    }
    return sum;
}

/// The largest |x[d]|.
inline float largest_size(const float* x, std::size_t width) {
    f32x16 most = zeros();
    for (std::size_t d = 0; d < width; d += 16) most = max(abs(load(x + d)), most);
    return reduce_max(most);
}

inline float square_length(const float* x, std::size_t width) {
    f32x16 sum = zeros();
    for (std::size_t d = 0; d < width; d += 16) {
        const f32x16 v = load(x + d);
        sum = fma(v, v, sum);
    }
    return reduce_add(sum);
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
