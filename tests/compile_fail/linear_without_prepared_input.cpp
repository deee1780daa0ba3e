// expect: PreparesInput
#include <nullm/linear/concepts.hpp>

struct unprepared {
    struct input {};  // no assign()
    std::size_t in() const { return 1; }
    std::size_t out() const { return 1; }
    void apply(const input&, nullm::matrix_view<float>, nullm::thread_pool&) const {}
    static unprepared from(std::span<const nullm::tensor_view>, nullm::thread_pool&) { return {}; }
};
static_assert(nullm::Linear<unprepared>);
