// nullm's side of the comparisons: kernels behind a C interface, so that a script runs both on the same
// arrays. peers.py compiles this file; every function that is timed returns seconds.

#include <nullm/core/thread_pool.hpp>
#include <nullm/linear/nf4_linear.hpp>
#include <nullm/spike/lif.hpp>
#include <nullm/spike/poisson_encoder.hpp>
#include <nullm/spike/torch_compat_encoder.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>

namespace {

template <class Body>
double seconds_of(Body body) {
    const auto start = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Steps of one layer. The membrane comes and goes through the caller's array; `bits` and `floats` get the
/// last step's spikes: bits where it is not null, else floats.
template <nullm::reset Reset, nullm::timing Timing>
double lif_steps(std::span<float> membrane, std::span<const float> input, std::size_t steps,
                 std::uint64_t* bits, float* floats, float beta, float threshold) {
    using neuron = nullm::lif<Reset, Timing>;
    const neuron layer{.beta = beta, .threshold = threshold};
    typename neuron::state state(membrane.size());
    std::copy(membrane.begin(), membrane.end(), state.membrane.begin());
    nullm::spike_bits spikes(membrane.size());
    const double seconds = seconds_of([&] {
        if (bits != nullptr) {
            for (std::size_t i = 0; i < steps; ++i) layer.step(state, input, spikes);
        } else {
            for (std::size_t i = 0; i < steps; ++i) layer.step(state, input, {floats, membrane.size()});
        }
    });
    std::copy(state.membrane.begin(), state.membrane.end(), membrane.begin());
    if (bits != nullptr) std::copy(spikes.words().begin(), spikes.words().end(), bits);
    return seconds;
}

template <nullm::reset Reset>
auto lif_of(int immediate) {
    return immediate != 0 ? lif_steps<Reset, nullm::timing::immediate>
                          : lif_steps<Reset, nullm::timing::delayed>;
}

/// A matrix in one arithmetic, with the threads that multiply by it.
struct matrix {
    virtual ~matrix() = default;
    virtual double apply(const float* x, std::size_t rows, float* y, std::size_t repeats) = 0;
};

template <class A>
class matrix_in final : public matrix {
 public:
    matrix_in(const nullm::nf4_matrix& weights, unsigned threads)
        : pool_(threads), linear_(nullm::nf4_linear<64, A>::from_encoded(std::span(&weights, 1), pool_)) {
        input_.keep_floats = linear_.reads_floats();
    }

    double apply(const float* x, std::size_t rows, float* y, std::size_t repeats) override {
        return seconds_of([&] {
            for (std::size_t i = 0; i < repeats; ++i) {
                input_.assign({x, rows, linear_.in()}, pool_);
                linear_.apply(input_, {y, rows, linear_.out()}, pool_);
            }
        });
    }

 private:
    nullm::thread_pool pool_;
    nullm::nf4_linear<64, A> linear_;
    typename nullm::nf4_linear<64, A>::input input_;
};

}  // namespace

extern "C" {

const char* nullm_kernels() {
    return nullm::name_of(nullm::active_isa()).data();
}

/// reset: 0 subtract, 1 zero, 2 none. Negative if refused.
double nullm_lif(float* membrane, const float* input, std::size_t n, std::size_t steps, std::uint64_t* bits,
                 float* floats, int reset, int immediate, float beta, float threshold) {
    try {
        const auto run = reset == 0   ? lif_of<nullm::reset::subtract>(immediate)
                         : reset == 1 ? lif_of<nullm::reset::zero>(immediate)
                                      : lif_of<nullm::reset::none>(immediate);
        return run({membrane, n}, {input, n}, steps, bits, floats, beta, threshold);
    } catch (const std::exception& wrong) {
        std::fprintf(stderr, "%s\n", wrong.what());
        return -1;
    }
}

/// Encoder steps at the positions from `position` on; bits get the last one's spikes, spikes their number in
/// all.
double nullm_encode(const float* intensities, std::size_t n, std::size_t steps, std::uint64_t seed,
                    std::int64_t position, std::uint64_t* bits) {
    try {
        nullm::draw_key key{.seed = seed, .stream = nullm::draw_stream::encoder, .position = position};
        nullm::spike_bits spikes(n);
        const double seconds = seconds_of([&] {
            for (std::size_t i = 0; i < steps; ++i, ++key.position) {
                nullm::poisson_encoder{}.encode({intensities, n}, key, 0, spikes);
            }
        });
        std::copy(spikes.words().begin(), spikes.words().end(), bits);
        return seconds;
    } catch (const std::exception& wrong) {
        std::fprintf(stderr, "%s\n", wrong.what());
        return -1;
    }
}

/// The draws torch makes from this seed, at row `row`.
int nullm_encode_as_torch(const float* intensities, std::size_t n, std::uint64_t seed, std::int64_t row,
                          std::uint64_t* bits) {
    try {
        nullm::spike_bits spikes(n);
        nullm::torch_compat_encoder{}.encode({intensities, n}, {.seed = seed, .position = row}, 0, spikes);
        std::copy(spikes.words().begin(), spikes.words().end(), bits);
        return 0;
    } catch (const std::exception& wrong) {
        std::fprintf(stderr, "%s\n", wrong.what());
        return -1;
    }
}

/// A matrix of rows x cols from bitsandbytes' codes and scales, blocks of 64. arithmetic: 8, 16, 32. Null if
/// refused.
void* nullm_nf4(std::size_t rows, std::size_t cols, const std::byte* packed, const float* absmax,
                int arithmetic, unsigned threads) {
    try {
        const std::size_t n = rows * cols;
        const nullm::nf4_matrix weights{.name = "peer",
                                        .rows = rows,
                                        .cols = cols,
                                        .data = {.elements = n,
                                                 .block = 64,
                                                 .packed = {packed, nullm::nf4_packed_bytes(n)},
                                                 .absmax = {absmax, nullm::nf4_blocks(n, 64)}}};
        std::unique_ptr<matrix> made;
        if (arithmetic == 8) made = std::make_unique<matrix_in<nullm::i8>>(weights, threads);
        if (arithmetic == 16) made = std::make_unique<matrix_in<nullm::i16>>(weights, threads);
        if (arithmetic == 32) made = std::make_unique<matrix_in<nullm::f32>>(weights, threads);
        return made.release();
    } catch (const std::exception& wrong) {
        std::fprintf(stderr, "%s\n", wrong.what());
        return nullptr;
    }
}
/// From floats to floats: the input's own quantisation is part of it.
double nullm_nf4_apply(void* handle, const float* x, std::size_t rows, float* y, std::size_t repeats) {
    try {
        return static_cast<matrix*>(handle)->apply(x, rows, y, repeats);
    } catch (const std::exception& wrong) {
        std::fprintf(stderr, "%s\n", wrong.what());
        return -1;
    }
}
void nullm_nf4_free(void* handle) {
    delete static_cast<matrix*>(handle);
}

}  // extern "C"
