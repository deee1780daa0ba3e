#pragma once
// Everything, in the order a token meets it.

#include <nullm/core/version.hpp>

#include <nullm/io/gguf.hpp>               // file -> named tensors
#include <nullm/model/checkpoint.hpp>      // named tensors -> a llama checkpoint
#include <nullm/text/chat_template.hpp>    // messages -> prompt
#include <nullm/text/stream_decoder.hpp>   // tokens -> text
#include <nullm/text/stream_encoder.hpp>   // text, as it comes -> tokens
#include <nullm/text/tokenizer.hpp>        // text <-> tokens
#include <nullm/spike/quiet_gate.hpp>      // token -> spikes -> rate -> fire?
#include <nullm/spike/torch_compat_encoder.hpp>
#include <nullm/linear/native_linear.hpp>  // y = W x
#include <nullm/attention/exact_attention.hpp>
#include <nullm/model/llama.hpp>           // tokens -> logits
#include <nullm/generate/session.hpp>      // policy -> reader, writer: the loop
#include <nullm/generate/seed_literal.hpp>
