// A key less the mean; included once per instruction set by key_mean.hpp.

namespace nullm::inline NULLM_ABI::NULLM_ISA {

/// out = key - mean over `size` elements, where key reaches to the next multiple of 16; the square lengths of
/// out and of the mean.
template <class T>
void centre_key(const T* key, const float* mean, std::size_t size, float* out, float& square,
                float& mean_square) {
    f32x16 squares = zeros();
    f32x16 mean_squares = zeros();
    for (std::size_t d = 0; d < size; d += 16) {
        const std::size_t count = size - d < 16 ? size - d : 16;
        const f32x16 m = load_partial(mean + d, count);
        const f32x16 x = sub(load(key + d), m);  // what pads a key is 0
        squares = fma(x, x, squares);
        mean_squares = fma(m, m, mean_squares);
        store_partial(out + d, x, count);
    }
    square = reduce_add(squares);
    mean_square = reduce_add(mean_squares);
}

}  // namespace nullm::inline NULLM_ABI::NULLM_ISA
