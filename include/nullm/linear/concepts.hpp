#pragma once
// Linear: y = W x for a batch of rows, with the input prepared once however many matrices read it.

#include <nullm/core/matrix_view.hpp>
#include <nullm/core/tensor.hpp>
#include <nullm/core/thread_pool.hpp>

#include <concepts>
#include <cstddef>
#include <span>

namespace nullm::inline NULLM_ABI {

/// Has a width on both sides: in() columns, out() rows of W.
template <class L>
concept HasLinearShape = requires(const L& linear) {
    { linear.in() } -> std::convertible_to<std::size_t>;
    { linear.out() } -> std::convertible_to<std::size_t>;
};

/// Prepares a batch of inputs once (quantises it, or copies it): assign() takes m x in floats, m >= 1. The
/// input starts empty.
template <class L>
concept PreparesInput = std::default_initializable<typename L::input> &&
    requires(typename L::input& input, matrix_view<const float> x, thread_pool& pool) {
    { input.assign(x, pool) } -> std::same_as<void>;
};

/// Multiplies prepared rows: y is m x out.
template <class L>
concept MultipliesRows = requires(const L& linear, const typename L::input& input, matrix_view<float> y,
                                  thread_pool& pool) {
    { linear.apply(input, y, pool) } -> std::same_as<void>;
};

/// Is made from tensors of a file, stacked by rows: the parts have equal cols, and out() is the sum of their
/// rows.
template <class L>
concept LoadsTensors = requires(std::span<const tensor_view> parts, thread_pool& pool) {
    { L::from(parts, pool) } -> std::same_as<L>;
};

/// A matrix that multiplies batches of rows. An immutable value; the prepared input and the output are the
/// caller's. A row's result is the same bits whatever the batch it came in and the number of threads.
template <class L>
concept Linear =
    std::movable<L> && HasLinearShape<L> && PreparesInput<L> && MultipliesRows<L> && LoadsTensors<L>;

}  // namespace nullm::inline NULLM_ABI
