#!/bin/sh
# build.sh CXX PROGRAM_FOLDER OUTPUT: what one types who has no build system.
# shellcheck disable=SC2046  # the words pkg-config prints are options
exec "$1" -std=c++20 -O2 "$2/main.cpp" "$2/other.cpp" $(pkg-config --cflags --libs nullm) -o "$3"
