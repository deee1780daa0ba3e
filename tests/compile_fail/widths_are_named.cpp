// expect: drive_meets_encoder<256, 64>
#include <nullm/generate/session.hpp>

struct narrow_drive : nullm::importance_drive {
    using nullm::importance_drive::importance_drive;
    static constexpr std::size_t fixed_width = 256;
};
struct short_encoder : nullm::poisson_encoder {
    static constexpr std::size_t fixed_width = 64;
};
struct mine : nullm::quiet {
    using drive = narrow_drive;
    using encoder = short_encoder;
};
int size = sizeof(nullm::gate_of<mine>);  // the diagnostic carries both numbers
