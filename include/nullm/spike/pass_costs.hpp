#pragma once
// What a forward pass of so many rows costs, in passes of one row: what a writer's gate weighs drafts
// against.

#include <nullm/core/error.hpp>

#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace nullm::inline NULLM_ABI {

/// Time of one pass of `rows` rows; any unit.
struct pass_time {
    std::size_t rows = 1;
    double time = 1;
};

/// A batch curve: times at a few numbers of rows, straight lines between them, the last line going on for
/// ever. benchmarks/decode/passes measures one. As a value it is a list of a few numbers.
class pass_costs {
 public:
    /// SmolLM2-135M, Q4_1, i8, two threads of a Zen 4 (benchmarks/README.md, 3): memory pays for four rows,
    /// arithmetic for the rest.
    pass_costs() : pass_costs({{1, 1.0}, {2, 1.04}, {4, 1.16}, {8, 1.76}, {16, 3.24}}) {}
    pass_costs(std::initializer_list<pass_time> measured)
        : pass_costs(std::span(measured.begin(), measured.size())) {}

    /// Throws nullm::error unless there are two points or more, the first of one row, rows ascending and
    /// times positive. Noise may make a larger pass look cheaper: a time below the one before it counts as
    /// that one.
    explicit pass_costs(std::span<const pass_time> measured) {
        if (measured.size() < 2 || measured.front().rows != 1) {
            throw error("pass_costs", "two times or more, the first of one row",
                        std::to_string(measured.size()));
        }
        for (const pass_time& point : measured) {
            if (!(point.time > 0) || !std::isfinite(point.time)) {
                throw error("pass_costs time", "a positive number", std::to_string(point.time));
            }
            if (!points_.empty() && point.rows <= points_.back().rows) {
                throw error("pass_costs rows", "more than " + std::to_string(points_.back().rows),
                            std::to_string(point.rows));
            }
            const double cost = point.time / measured.front().time;
            points_.push_back(
                {point.rows, points_.empty() || cost > points_.back().time ? cost : points_.back().time});
        }
    }

    /// Of a pass of so many rows (at least 1); of one row: 1. Never less than of fewer rows.
    double of(std::size_t rows) const {
        std::size_t i = 1;
        while (i + 1 < points_.size() && points_[i].rows < rows) ++i;
        const pass_time& a = points_[i - 1];
        const pass_time& b = points_[i];
        const double along =
            (static_cast<double>(rows) - static_cast<double>(a.rows)) / static_cast<double>(b.rows - a.rows);
        return std::fma(b.time - a.time, along, a.time);
    }

    /// What one more row adds to a pass of so many.
    double of_one_more(std::size_t rows) const { return of(rows + 1) - of(rows); }

    /// The points, with the times as costs.
    std::span<const pass_time> points() const { return points_; }

 private:
    std::vector<pass_time> points_;
};

}  // namespace nullm::inline NULLM_ABI
