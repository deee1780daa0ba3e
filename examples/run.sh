#!/bin/sh
# sh examples/run.sh "PROMPT" [nullm_generate options]
# Installs what is missing, builds the examples once, gets the reference model once, and answers the prompt.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/tools/setup.sh"

if [ $# -lt 1 ]; then
    say 'usage: sh examples/run.sh "PROMPT" [nullm_generate options]'
    exit 2
fi
prompt=$1
shift

program=$here/build/examples/examples/nullm_generate
if [ ! -x "$program" ] || [ -n "$(find "$here/include" "$here/examples" "$here/CMakeLists.txt" -newer "$program" -type f | head -n 1)" ]; then
    command_or_package c++ g++
    command_or_package cmake cmake
    command_or_package make make
    packages nlohmann-json3-dev libcli11-dev libeigen3-dev
    say "nullm: building the examples"
    cmake -S "$here" -B "$here/build/examples" -DCMAKE_BUILD_TYPE=Release -DNULLM_BUILD_TESTS=OFF \
        -DNULLM_BUILD_BENCHMARKS=OFF -DNULLM_BUILD_EXAMPLES=ON >"$here/build-examples.log" 2>&1 &&
        cmake --build "$here/build/examples" -j "$(nproc)" >>"$here/build-examples.log" 2>&1 || {
        cat "$here/build-examples.log" >&2
        exit 1
    }
    mv "$here/build-examples.log" "$here/build/examples/build.log"
    touch "$program"
fi
find_model
exec "$program" --model "$model" --chat --policy quiet --stats --prompt "$prompt" "$@"
