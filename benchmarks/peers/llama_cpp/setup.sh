#!/bin/sh
# Fetches llama.cpp as llama-cpp-python's source archive carries it, builds the programs compare.py runs, and makes
# the second model file.
#   setup.sh MODEL.gguf [DIRECTORY]
# MODEL.gguf is SmolLM2-135M-Instruct.Q4_1.gguf; DIRECTORY (default build/peers) receives
#   llama_cpp_python-<version>/   the sources
#   llama/bin/llama-*             the programs, a native Release build
#   Q4_0.gguf                     the model requantised by llama-quantize
#   setup.json                    what was built, and with what
# Needs python3 with pip, cmake, ninja or make, a C++ compiler, 1 GB of disk, 5 to 15 minutes. JOBS=N limits the
# build. What is there already is kept; delete the directory to begin again.
set -eu

version=0.3.36
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
programs="llama-bench llama-batched-bench llama-speculative-simple llama-quantize llama-perplexity"

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    sed -n "2,11s/^# \{0,1\}//p" "$0" >&2
    exit 2
fi
model=$1
where=${2:-build/peers}
jobs=${JOBS:-$(nproc)}
[ -r "$model" ] || { echo "setup.sh: $model: expected a readable file" >&2; exit 2; }
mkdir -p "$where"
where=$(cd "$where" && pwd)
archive=$where/llama_cpp_python-$version.tar.gz
sources=$where/llama_cpp_python-$version/vendor/llama.cpp
build=$where/llama

if [ ! -f "$archive" ]; then
    # pip checks the hash, and runs the archive's own metadata step, for which it fetches a build backend.
    printf 'llama-cpp-python==%s --hash=sha256:%s\n' "$version" "$sha256" > "$where/requirements.txt"
    python3 -m pip download --quiet --no-deps --no-binary llama-cpp-python --require-hashes \
        --dest "$where" --requirement "$where/requirements.txt"
fi
echo "$sha256  $archive" | sha256sum --check --quiet
[ -f "$sources/CMakeLists.txt" ] || tar -xzf "$archive" -C "$where"

generator=
command -v ninja > /dev/null && generator="-G Ninja"
# Native code for this machine, OpenMP and weight repacking on, as its own defaults are; the parts that
# would fetch more (server, user interface) and TLS off.
# shellcheck disable=SC2086
[ -f "$build/CMakeCache.txt" ] || cmake -S "$sources" -B "$build" $generator -DCMAKE_BUILD_TYPE=Release \
    -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF \
    -DLLAMA_BUILD_UI=OFF -DLLAMA_BUILD_MTMD=OFF -DLLAMA_OPENSSL=OFF > "$where/configure.log"
# shellcheck disable=SC2086
cmake --build "$build" --parallel "$jobs" --target $programs > "$where/build.log" 2>&1 ||
    { tail -n 30 "$where/build.log" >&2; exit 1; }

if [ ! -f "$where/Q4_0.gguf" ]; then
    "$build/bin/llama-quantize" --allow-requantize "$model" "$where/Q4_0.partial" Q4_0 > "$where/quantize.log" 2>&1
    mv "$where/Q4_0.partial" "$where/Q4_0.gguf"
fi

compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
cat > "$where/setup.json" <<END
{"llama_cpp_python": "$version", "sha256": "$sha256",
 "compiler": "$("$compiler" --version | head -n 1)",
 "q4_0_sha256": "$(sha256sum < "$where/Q4_0.gguf" | cut -d ' ' -f 1)"}
END
for program in $programs; do
    [ -x "$build/bin/$program" ] || { echo "setup.sh: $build/bin/$program was not built" >&2; exit 1; }
done
echo "ready: $build/bin, $where/Q4_0.gguf"
