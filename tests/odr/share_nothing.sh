#!/bin/sh
# share_nothing.sh NM OBJECT...: fails if two objects define the same weak symbol that has nullm in its name.
set -eu
nm=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for object in "$@"; do
    # V, v, W, w: weak symbols. u: unique globals (static members of templates). Only those of our own namespace:
    # _ZN..5nullm is ours; a std:: template over one of our types carries our inline namespace as well.
    "$nm" "$object" | awk '$2 ~ /^[VvWwu]$/ { print $3 }' | grep 5nullm | sort -u >"$work/symbols"
    if ! [ -s "$work/symbols" ]; then
        echo "$object defines no weak nullm symbol: the test tests nothing"
        exit 1
    fi
    cat "$work/symbols" >>"$work/all"
    echo "$(wc -l <"$work/symbols") weak nullm symbols in $object"
done
sort "$work/all" | uniq -d >"$work/shared"
if [ -s "$work/shared" ]; then
    echo "shared between instruction sets:"
    head -n 20 "$work/shared" | c++filt
    exit 1
fi
