#!/bin/sh
# docs_readme.sh README PROGRAM: the README's first C++ block must be the compiled program, to the letter.
set -eu
work=$(mktemp)
trap 'rm -f "$work"' EXIT
awk '/^```cpp$/ && !done { inside = 1; next } /^```$/ && inside { inside = 0; done = 1 } inside' "$1" >"$work"
diff -u "$2" "$work"
echo "$(wc -l <"$work") lines of the README are $2"
