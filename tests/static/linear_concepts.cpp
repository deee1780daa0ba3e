// The concepts of linear/: what models them, what does not, and the smallest type that does. Compiled, never
// run.
#include <nullm/linear/concepts.hpp>
#include <nullm/linear/dense_linear.hpp>
#include <nullm/linear/native_linear.hpp>
#include <nullm/linear/nf4_linear.hpp>

#include <algorithm>

namespace linear_concepts {

using namespace nullm;

// Models shipped.
static_assert(Linear<native_linear<f32>> && Linear<native_linear<i16>> && Linear<native_linear<i8>>);
static_assert(Linear<nf4_linear<>> && Linear<nf4_linear<64, f32>> && Linear<nf4_linear<64, i8>>);
static_assert(Linear<nf4_linear<32>> && Linear<nf4_linear<4096, i16>>);
static_assert(Linear<dense_linear<float>> && Linear<dense_linear<bf16>>);

// One prepared input serves every matrix of an arithmetic, and dense matrices under f32.
static_assert(std::same_as<nf4_linear<64, i16>::input, native_linear<i16>::input>);
static_assert(std::same_as<nf4_linear<128, f32>::input, dense_linear<float>::input>);

// One role is not another, and not every number is an element or an arithmetic.
static_assert(!Linear<int> && !Linear<prepared_rows<i16>> && !Linear<thread_pool> &&
              !Linear<tile_stack<f32>>);
template <class T>
concept HasDense = requires {
    typename dense_linear<T>;
};
static_assert(HasDense<float> && HasDense<bf16> && !HasDense<f16> && !HasDense<double>);
template <class A>
concept HasNf4 = requires {
    typename nf4_linear<64, A>;
};
static_assert(HasNf4<i16> && !HasNf4<float>);
static_assert(Arithmetic<f32> && !Arithmetic<float> && IntegerArithmetic<i8> && !IntegerArithmetic<f32>);

// Archetype: the least that fits, y = x.
struct identity_linear {
    struct input {
        matrix_view<const float> rows;
        void assign(matrix_view<const float> x, thread_pool&) { rows = x; }
    };
    std::size_t width = 0;

    static identity_linear from(std::span<const tensor_view> parts, thread_pool&) {
        return {parts.empty() ? 0 : parts.front().cols};
    }
    std::size_t in() const { return width; }
    std::size_t out() const { return width; }
    void apply(const input& x, matrix_view<float> y, thread_pool&) const {
        for (std::size_t r = 0; r < y.rows; ++r) std::copy_n(x.rows[r], width, y[r]);
    }
};
static_assert(Linear<identity_linear>);

// Each atom refuses what lacks its member, and only that atom does.
struct linear_without_width : identity_linear {
    static linear_without_width from(std::span<const tensor_view>, thread_pool&);
    void in() const;
};
static_assert(!HasLinearShape<linear_without_width> && PreparesInput<linear_without_width> &&
              MultipliesRows<linear_without_width> && LoadsTensors<linear_without_width>);
static_assert(!Linear<linear_without_width>);

struct linear_without_input : identity_linear {
    static linear_without_input from(std::span<const tensor_view>, thread_pool&);
    struct input {};
    void apply(const input&, matrix_view<float>, thread_pool&) const;
};
static_assert(!PreparesInput<linear_without_input> && HasLinearShape<linear_without_input> &&
              MultipliesRows<linear_without_input> && LoadsTensors<linear_without_input>);
static_assert(!Linear<linear_without_input>);

struct linear_with_full_input : identity_linear {
    static linear_with_full_input from(std::span<const tensor_view>, thread_pool&);
    struct input : identity_linear::input {
        explicit input(std::size_t) {}  // an input starts empty
    };
};
static_assert(!PreparesInput<linear_with_full_input> && !Linear<linear_with_full_input>);

struct linear_that_changes : identity_linear {
    static linear_that_changes from(std::span<const tensor_view>, thread_pool&);
    void apply(const input&, matrix_view<float>, thread_pool&);  // not const: results could depend on calls
};
static_assert(!MultipliesRows<linear_that_changes> && HasLinearShape<linear_that_changes> &&
              PreparesInput<linear_that_changes> && LoadsTensors<linear_that_changes>);
static_assert(!Linear<linear_that_changes>);

struct linear_that_writes_input : identity_linear {
    static linear_that_writes_input from(std::span<const tensor_view>, thread_pool&);
    void apply(input&, matrix_view<float>, thread_pool&) const;  // several matrices read one input
};
static_assert(!MultipliesRows<linear_that_writes_input> && !Linear<linear_that_writes_input>);

struct linear_from_nothing : identity_linear {};  // the base's from() makes the base
static_assert(!LoadsTensors<linear_from_nothing> && HasLinearShape<linear_from_nothing> &&
              PreparesInput<linear_from_nothing> && MultipliesRows<linear_from_nothing>);
static_assert(!Linear<linear_from_nothing>);

struct linear_that_stays : identity_linear {
    static linear_that_stays from(std::span<const tensor_view>, thread_pool&);
    linear_that_stays() = default;
    linear_that_stays(linear_that_stays&&) = delete;
};
static_assert(!std::movable<linear_that_stays> && !Linear<linear_that_stays>);

}  // namespace linear_concepts
