# A tree that is built once, tested and thrown away, as tests/run.sh does, is ready sooner if the test files that
# instantiate the same code are one translation unit, if what every test includes is precompiled, and if of what is never
# run (the benchmarks, the static tests) no code is generated. Who compiles one file again and again is better off without.
option(NULLM_BUILD_ONCE "Merge test files that share code, precompile what they include, only check benchmarks" OFF)

# Files of a room, by what they share.
set(_unit_attention_attend concepts exact_attention key_sampler sampled_attention table_sampler)
set(_unit_generate_smollm2 reader_smollm2 smollm2 smollm2_parts)
set(_unit_linear_products native_linear nf4_linear prepared_rows)
set(_unit_model_llama batch_invariance batch_invariance_nf4 llama llama_native llama_sampled nf4_checkpoint smollm2 spiking_lm)
set(_unit_spike_quiet calibrate draft_gate gates importance_drive mixed_drive quiet_drive quiet_gate reprogrammed_threshold
    surprise_drive text_prototypes)
set(_unit_text_tokenizer chat_template stream_decoder stream_encoder tokenizer)
set(_common_headers <support/catch.hpp> <nlohmann/json.hpp> <algorithm> <array> <bit> <cmath> <filesystem> <fstream>
    <functional> <limits> <optional> <random> <span> <string> <thread> <vector>)

# nullm_test_units(room): only the files named above are merged; any other may use the names it likes. The first room
# precompiles for all.
function(nullm_test_units room)
  if(NOT NULLM_BUILD_ONCE)
    return()
  endif()
  get_property(owner GLOBAL PROPERTY nullm_precompiled_by)
  if(owner)
    target_precompile_headers(nullm_test_${room} REUSE_FROM ${owner})
  else()
    target_precompile_headers(nullm_test_${room} PRIVATE ${_common_headers})
    set_property(GLOBAL PROPERTY nullm_precompiled_by nullm_test_${room})
  endif()
  set_target_properties(nullm_test_${room} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  get_cmake_property(units VARIABLES)
  list(FILTER units INCLUDE REGEX "^_unit_${room}_")
  foreach(unit ${units})
    list(TRANSFORM ${unit} REPLACE ".+" "${room}/\\0.cpp" OUTPUT_VARIABLE sources)
    set_source_files_properties(${sources} PROPERTIES UNITY_GROUP ${unit})
  endforeach()
endfunction()

# Whether a target compiles is all that is asked of it: templates are instantiated, nothing is written.
function(nullm_check_only target)
  target_compile_options(${target} PRIVATE -fsyntax-only)
endfunction()

function(nullm_benchmark name)
  if(NULLM_BUILD_ONCE)
    add_library(${name} OBJECT ${ARGN})
    nullm_check_only(${name})
  else()
    add_executable(${name} ${ARGN})
  endif()
endfunction()
