#pragma once
// Everything, in the order a token meets it, but what reads JSON (nlohmann/json takes seconds to compile): io/safetensors.hpp,
// io/bitsandbytes.hpp, model/nf4_checkpoint.hpp, model/open_checkpoint.hpp and model/spiking_lm_file.hpp are included by who needs them, and so
// are io/safetensors_writer.hpp, io/gate_file.hpp, and quant/, which needs Eigen too.

#include <nullm/core/version.hpp>

#include <nullm/io/gguf.hpp>               // file -> named tensors
#include <nullm/model/checkpoint.hpp>      // named tensors -> a llama checkpoint
#include <nullm/text/chat_template.hpp>    // messages -> prompt
#include <nullm/text/stream_decoder.hpp>   // tokens -> text
#include <nullm/text/stream_encoder.hpp>   // text, as it comes -> tokens
#include <nullm/text/tokenizer.hpp>        // text <-> tokens
#include <nullm/spike/quiet_gate.hpp>      // token -> spikes -> rate -> fire?
#include <nullm/spike/calibrate.hpp>
#include <nullm/spike/draft_gate.hpp>
#include <nullm/spike/loihi_lif.hpp>
#include <nullm/spike/reprogrammed_threshold.hpp>
#include <nullm/spike/torch_compat_encoder.hpp>
#include <nullm/linear/native_linear.hpp>  // y = W x
#include <nullm/linear/nf4_linear.hpp>
#include <nullm/linear/dense_linear.hpp>
#include <nullm/attention/exact_attention.hpp>  // q, K, V -> o
#include <nullm/attention/lsh_attention.hpp>
#include <nullm/attention/sketch_attention.hpp>
#include <nullm/model/llama.hpp>           // tokens -> logits
#include <nullm/model/spiking_lm.hpp>
#include <nullm/generate/session.hpp>      // policy -> reader, writer: the loop
#include <nullm/generate/span_gate.hpp>      // whole lines and sentences
#include <nullm/generate/span_splitter.hpp>
#include <nullm/generate/long_context.hpp>
#include <nullm/generate/seed_literal.hpp>
#include <nullm/measure/counters.hpp>      // what it cost, and whether it was right
#include <nullm/measure/operations.hpp>
#include <nullm/measure/llama_work.hpp>
#include <nullm/measure/rapl.hpp>
#include <nullm/measure/prediction.hpp>
#include <nullm/measure/risk_coverage.hpp>
#include <nullm/measure/bootstrap.hpp>
