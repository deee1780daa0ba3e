// nullm's reading of a checkpoint behind a C interface, for checkpoint.py. peers.py compiles this file.

#include <nullm/linear/dequantize.hpp>
#include <nullm/model/llama_names.hpp>
#include <nullm/model/open_checkpoint.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <span>
#include <string>

extern "C" {

/// A checkpoint, or null. Refusals are printed.
void* nullm_open(const char* path) {
    try {
        return new nullm::checkpoint(nullm::open_checkpoint(path));
    } catch (const std::exception& wrong) {
        std::fprintf(stderr, "%s\n", wrong.what());
        return nullptr;
    }
}
void nullm_close(void* handle) {
    delete static_cast<nullm::checkpoint*>(handle);
}

/// The floats of a matrix, named and its rows ordered as Hugging Face has them; 0 unless it has that many, and
/// is NF4 as stored.
int nullm_decode(void* handle, const char* name, float* out, std::size_t count) {
    try {
        const auto& file = *static_cast<nullm::checkpoint*>(handle);
        for (const nullm::llama_tensor& t : nullm::llama_tensors(file.config())) {
            if (t.hf != name || t.rows * t.cols != count) continue;
            const nullm::tensor_view stored = file.tensor(t.gguf + ".weight", t.rows, t.cols);
            if (stored.type != nullm::tensor_type::nf4) return 0;
            for (std::size_t r = 0; r < t.rows; ++r) {
                nullm::dequantize_row(stored, r, std::span(out + nullm::hf_row(r, t.head_rows) * t.cols, t.cols));
            }
            return 1;
        }
    } catch (const std::exception& wrong) {
        std::fprintf(stderr, "%s\n", wrong.what());
    }
    return 0;
}

}  // extern "C"
