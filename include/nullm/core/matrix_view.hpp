#pragma once
// A non-owning row-major matrix. std::mdspan is C++23; this is the little of it the library needs.

#include <nullm/core/abi.hpp>

#include <cstddef>
#include <span>
#include <type_traits>

namespace nullm::inline NULLM_ABI {

/// rows x cols elements of T, row r starting at data + r * stride (stride >= cols, in elements).
template <class T>
struct matrix_view {
    T* data = nullptr;
    std::size_t rows = 0;
    std::size_t cols = 0;
    std::size_t stride = 0;

    constexpr matrix_view() = default;
    constexpr matrix_view(T* first, std::size_t row_count, std::size_t column_count)
        : matrix_view(first, row_count, column_count, column_count) {}
    constexpr matrix_view(T* first, std::size_t row_count, std::size_t column_count, std::size_t row_stride)
        : data(first), rows(row_count), cols(column_count), stride(row_stride) {}

    constexpr std::span<T> row(std::size_t r) const { return {data + r * stride, cols}; }
    constexpr T* operator[](std::size_t r) const { return data + r * stride; }
    constexpr matrix_view subrows(std::size_t first, std::size_t count) const {
        return {data + first * stride, count, cols, stride};
    }
    constexpr operator matrix_view<const T>() const
        requires(!std::is_const_v<T>)
    {
        return {data, rows, cols, stride};
    }
};

}  // namespace nullm::inline NULLM_ABI
