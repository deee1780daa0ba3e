#!/bin/sh
# sh tests/run.sh [--all]
# Installs what is missing, builds and tests: g++ Release (with the reference model), g++ with ASan + UBSan, clang++.
# --all adds the slow legs: the programs with clang++, every instruction set forced, -O3 -march=native, programs and model
# under sanitizers, and the Conan package (Conan goes into a venv under build/).
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/tools/setup.sh"

all=no
case "${1:-}" in
--all) all=yes ;;
"") ;;
*)
    say "usage: sh tests/run.sh [--all]"
    exit 2
    ;;
esac

command_or_package g++ g++
command_or_package clang++ clang
command_or_package cmake cmake
command_or_package ninja ninja-build
command_or_package nm binutils
command_or_package pkg-config pkgconf
packages catch2 nlohmann-json3-dev libcli11-dev libeigen3-dev libpcre2-dev libbenchmark-dev
find_model

# check NAME MODEL|"" [VARIABLE=VALUE]: runs the tests of build/test-NAME. Without a model those that need it say so.
check() {
    tree=$here/build/test-$1
    if [ -n "$2" ]; then
        NULLM_MODEL=$2
        export NULLM_MODEL
    else
        unset NULLM_MODEL
    fi
    shift 2
    env "$@" ctest --test-dir "$tree" --output-on-failure -j "$(nproc)" 2>&1
}

# leg NAME MODEL|"" CMAKE_ARGUMENT...: configures, builds and tests one variant in build/test-NAME.
leg() {
    name=$1
    leg_model=$2
    shift 2
    say "== $name"
    cmake -S "$here" -B "$here/build/test-$name" -G Ninja "$@" >"$here/build/test-$name.log" 2>&1 || {
        cat "$here/build/test-$name.log" >&2
        return 1
    }
    cmake --build "$here/build/test-$name" 2>&1
    check "$name" "$leg_model"
}

mkdir -p "$here/build"
# Whether a header includes what it needs is asked of clang++ alone (--all: of both), as both read one standard library.
leg release "$model" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=g++ -DNULLM_BUILD_ONCE=ON -DNULLM_TEST_HEADERS=OFF
# The programs share 42 models, which take minutes to instrument, and the tests of the reference model take minutes to run:
# --all does both. Little debug information, for the same reason.
leg sanitize "" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER=g++ -DNULLM_SANITIZE=ON -DNULLM_BUILD_ONCE=ON \
    -DNULLM_TEST_REFERENCE_MODEL=OFF -DNULLM_BUILD_BENCHMARKS=OFF -DNULLM_BUILD_EXAMPLES=OFF "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1"
# The programs, the consumers and the forced instruction sets with clang++ are --all's.
leg clang "" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=clang++ -DNULLM_BUILD_ONCE=ON -DNULLM_BUILD_BENCHMARKS=OFF \
    -DNULLM_BUILD_EXAMPLES=OFF -DNULLM_TEST_QUICK=ON

if [ "$all" = yes ]; then
    for level in scalar avx2 avx512; do
        say "== release, NULLM_ISA=$level"
        check release "" NULLM_ISA="$level"
    done
    leg clang "" -DNULLM_BUILD_EXAMPLES=ON -DNULLM_TEST_QUICK=OFF
    leg native "$model" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=g++ "-DCMAKE_CXX_FLAGS=-O3 -march=native" -DNULLM_BUILD_BENCHMARKS=OFF
    leg sanitize-model "$model" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER=g++ -DNULLM_SANITIZE=ON -DNULLM_BUILD_BENCHMARKS=OFF
    say "== consumers, with Conan"
    command_or_package python3 python3
    python3 -c 'import ensurepip' >/dev/null 2>&1 || packages python3-venv
    NULLM_MODEL=$model sh "$here/tests/consumer/run.sh" --all g++ "$here/build/consumer"
fi
say "== all legs passed"
