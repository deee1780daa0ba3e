#!/bin/sh
# sh benchmarks/decode/run.sh CORPUS [FOLDER]
# The benchmark of dense against gated, from a clean clone: installs what is missing, builds three programs, gets the
# reference model, and runs
#   gate_quality     what gates keep of the corpus and what they skip, against the dense model, by articles
#   dense_vs_gated   a writer on seven prompts; a reader at skip rates of 10 to 90 %: positions/s, emitted/s, and the bits
#                    of its logits compared with the dense ones
#   methods          the original idea's table
# CORPUS is a text of articles, WikiText-2's raw test file for the figures in docs/gating.md. FOLDER (build/gating) takes
# report.txt, CSV files and plots. On two cores it ends in under 20 minutes.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
. "$here/tools/setup.sh"

if [ $# -lt 1 ] || [ $# -gt 2 ] || [ ! -r "$1" ]; then
    say "usage: sh benchmarks/decode/run.sh CORPUS [FOLDER], where CORPUS is a text that can be read"
    exit 2
fi
corpus=$1
folder=${2:-$here/build/gating}

started=$(date +%s)
stage() { say "nullm: $(($(date +%s) - started)) s: $1"; }

command_or_package c++ g++
command_or_package cmake cmake
command_or_package make make
packages nlohmann-json3-dev libcli11-dev libeigen3-dev libbenchmark-dev
python=
for candidate in python3 /usr/bin/python3; do
    "$candidate" -c 'import matplotlib' 2>/dev/null && python=$candidate && break
done
if [ -z "$python" ]; then
    packages python3-matplotlib
    python=/usr/bin/python3
fi
find_model

stage "building"
tree=$here/build/benchmarks
mkdir -p "$tree" "$folder"
cmake -S "$here" -B "$tree" -DCMAKE_BUILD_TYPE=Release -DNULLM_BUILD_TESTS=OFF -DNULLM_BUILD_BENCHMARKS=ON \
    -DNULLM_BUILD_EXAMPLES=ON >"$tree/build.log" 2>&1 &&
    cmake --build "$tree" -j "$(nproc)" --target gate_quality dense_vs_gated methods >>"$tree/build.log" 2>&1 || {
    cat "$tree/build.log" >&2
    exit 1
}

# Plain sh has no pipefail: a program's report is shown when it is whole, and its failure ends the run.
report=$folder/report.txt
: >"$report"
run() {
    stage "$1"
    program=$1
    shift
    "$tree/benchmarks/$program" "$@" >"$folder/$program.txt" || exit
    tee -a "$report" <"$folder/$program.txt"
    rm "$folder/$program.txt"
}
text=$folder/corpus.txt
tr -d '\r' <"$corpus" >"$text"
# shellcheck disable=SC2154  # find_model sets it
run gate_quality --model "$model" --corpus "$text" --out "$folder"
run dense_vs_gated --model "$model" --corpus "$text" --skip 0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9 --repeats 3 \
    --save "$folder/reader.jsonl"
run methods --model "$model" --corpus "$text" --out "$folder"
rm "$text"
"$python" "$here/benchmarks/decode/plots.py" "$folder" | tee -a "$report"
stage "done; all of it is in $folder"
