#!/bin/sh
# sh tests/consumer/run.sh [--all] CXX [FOLDER]
# Uses the library as others do: installed and moved, found, added, fetched, by pkg-config, as a vcpkg port (stand-ins for
# vcpkg's functions run it; vcpkg itself is not run) and, if there is a conan or with --all, as a Conan package.
# Works in a new folder under FOLDER (build/consumer) and removes it. With $NULLM_MODEL the README's program answers.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
tree=$(CDPATH='' cd -- "$here/../.." && pwd)

all=no
if [ "${1:-}" = --all ]; then
    all=yes
    shift
fi
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: sh tests/consumer/run.sh [--all] CXX [FOLDER]" >&2
    exit 2
fi
cxx=$1
folder=${2:-$tree/build/consumer}
if [ -n "${NULLM_ISA:-}" ]; then
    echo "skipped: NULLM_ISA=$NULLM_ISA forces the kernels"
    exit 77
fi

mkdir -p "$folder"
work=$(mktemp -d "$folder/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
log=$work/log
CXX=$cxx
CMAKE_EXPORT_COMPILE_COMMANDS=ON
export CXX CMAKE_EXPORT_COMPILE_COMMANDS
unset CXXFLAGS CPPFLAGS LDFLAGS CMAKE_BUILD_TYPE DESTDIR CMAKE_PREFIX_PATH CMAKE_TOOLCHAIN_FILE nullm_DIR nullm_ROOT # no flag of anyone's
if command -v ninja >/dev/null 2>&1; then
    CMAKE_GENERATOR=Ninja
    export CMAKE_GENERATOR
fi

fail() {
    [ ! -f "$log" ] || cat "$log"
    echo "FAILED $what: $*"
    exit 1
}

# begin WHAT: names what the following commands do. done_ SENTENCE: they did it. run COMMAND...: must succeed.
begin() {
    what=$1
    : >"$log"
}
done_() { echo "ok     $what: $*"; }

run() {
    echo "+ $*" >>"$log"
    "$@" >>"$log" 2>&1 || fail "$*"
}

# configure SOURCE BINARY [OPTION...]; build BINARY [OPTION...]
configure() {
    source=$1
    binary=$2
    shift 2
    run cmake -S "$source" -B "$binary" "-DCMAKE_CXX_COMPILER=$cxx" -DFETCHCONTENT_FULLY_DISCONNECTED=ON \
        -DCMAKE_INSTALL_MESSAGE=NEVER "$@"
}
build() { run cmake --build "$@" --parallel "$(nproc)"; }

# compiled_with BINARY INCLUDE FLAGS: every command has these flags and no other, and looks into INCLUDE.
compiled_with() {
    flags=$(awk '/"command":/ {
        flags = ""; found = 0
        for (i = 3; i <= NF; ++i) {
            if ($i == "-o" || $i == "-c" || $i == "-isystem") { if ($(++i) == include) found = 1 }
            else if ($i ~ /^-I/) { if ($i == "-I" include) found = 1 }
            else flags = flags " " $i
        }
        print (found ? "" : " without " include) flags
    }' include="$2" "$1/compile_commands.json" | sort -u)
    [ "$flags" = " $3" ] || fail "expected the flags '$3', found '$flags'"
}

begin install
# Tests and programs on, as they are by default, and none of them built: installing must not want them.
configure "$tree" "$work/tree" -DCMAKE_BUILD_TYPE=Release -DNULLM_BUILD_BENCHMARKS=OFF
run cmake --install "$work/tree" --prefix "$work/first"
(cd "$tree/include" && find nullm -type f ! -name '.*' | sort) >"$work/headers"
(cd "$work/first/include" && find . -type f | sed 's,^\./,,' | sort) >"$work/installed"
run diff "$work/headers" "$work/installed"
(cd "$work/first" && find . -path ./include -prune -o -type f -print | sort) >"$work/others"
cat >"$work/expected" <<'END'
./share/cmake/nullm/nullmConfig.cmake
./share/cmake/nullm/nullmConfigVersion.cmake
./share/cmake/nullm/nullmTargets.cmake
./share/doc/nullm/LICENSE
./share/pkgconfig/nullm.pc
END
run diff "$work/expected" "$work/others"
if grep -rlF -e "$work" -e "$tree" "$work/first" >>"$log"; then
    fail "an installed file names a folder of this machine"
fi
prefix=$work/moved
mv "$work/first" "$prefix"
done_ "$(wc -l <"$work/headers") headers, licence, package files; moved to another prefix"

begin find_package
configure "$here/find_package" "$work/find_package" -DCMAKE_BUILD_TYPE=Release "-DCMAKE_PREFIX_PATH=$prefix"
compiled_with "$work/find_package" "$prefix/include" "-O3 -DNDEBUG -std=gnu++20"
build "$work/find_package"
run "$work/find_package/fast_kernels"
level=$("$work/find_package/fast_kernels")
minimal=$work/find_package/minimal
# The program holds the kernels of that level, though it was compiled for none.
nm -C "$minimal" >"$work/symbols" || fail "nm $minimal"
grep -q "nullm::.*::$(echo "$level" | sed s/vnni/avx512/)::" "$work/symbols" || fail "minimal has no $level kernels"
if [ -n "${NULLM_MODEL:-}" ]; then
    prompt="The cat sat on the mat. The dog sat on the mat. The cow sat on"
    "$minimal" "$NULLM_MODEL" "$prompt" >"$work/answer" 2>>"$log" || fail "minimal $NULLM_MODEL"
    case $(cat "$work/answer") in
    *∅*" cow"*) answer="answers, with NULLs" ;;
    *) fail "expected an answer with ∅ and the cow in it, found: $(cat "$work/answer")" ;;
    esac
else
    status=0
    "$minimal" >>"$log" 2>&1 || status=$?
    [ "$status" = 2 ] || fail "minimal without arguments: expected exit status 2, found $status"
    answer="starts (set NULLM_MODEL to have it answer)"
fi
done_ "the README's program builds without a flag and $answer; kernels: $level"

begin add_subdirectory
configure "$here/add_subdirectory" "$work/add_subdirectory"
compiled_with "$work/add_subdirectory" "$tree/include" "-std=gnu++20"
build "$work/add_subdirectory"
run "$work/add_subdirectory/program"
done_ "two files, one program; no test, option or flag of ours"

begin fetch_content
# Here nlohmann/json is not installed either, but fetched by nullm.
configure "$here/fetch_content" "$work/fetch_content" "-DFETCHCONTENT_SOURCE_DIR_NULLM=$tree" -DNULLM_INSTALL=ON \
    -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON "-DFETCHCONTENT_SOURCE_DIR_NLOHMANN_JSON=$here/stand_in/nlohmann_json"
grep -q 'nlohmann_json is not installed, fetching' "$log" || fail "nlohmann_json was not fetched"
compiled_with "$work/fetch_content" "$tree/include" "-std=gnu++20"
build "$work/fetch_content"
run "$work/fetch_content/program"
run cmake --install "$work/fetch_content" --prefix "$work/fetched"
run diff -r "$prefix/share" "$work/fetched/share"
found=$(cd "$work/fetched" && echo * include/*)
[ "$found" = "include share include/nullm" ] || fail "it installed $found"
done_ "with nlohmann/json fetched as well; what it installs is the same, without nlohmann/json"

begin pkg_config
if command -v pkg-config >/dev/null 2>&1; then
    PKG_CONFIG_PATH=$prefix/share/pkgconfig
    export PKG_CONFIG_PATH
    run pkg-config --validate nullm
    run sh "$here/pkg_config/build.sh" "$cxx" "$here/program" "$work/pkg_config"
    run "$work/pkg_config"
    run pkg-config --exact-version="$("$work/pkg_config" | sed 's/^nullm \([0-9.]*\),.*/\1/')" nullm
    done_ "one command, $(pkg-config --cflags --libs nullm | sed "s,$work,...,;s, *$,,")"
else
    fail "pkg-config is not installed"
fi

begin vcpkg
run cmake "-DTREE=$tree" "-DWORK=$work/vcpkg" -P "$here/stand_in/vcpkg/port.cmake"
mv "$work/vcpkg/packages" "$work/vcpkg/installed"
configure "$here/find_package" "$work/vcpkg/consumer" "-DCMAKE_PREFIX_PATH=$work/vcpkg/installed"
build "$work/vcpkg/consumer" --target fast_kernels
run "$work/vcpkg/consumer/fast_kernels"
done_ "the port's portfile, under stand-ins for vcpkg's functions (vcpkg itself was not run)"

begin conan
if ! command -v conan >/dev/null 2>&1 && [ "$all" = no ]; then
    echo "skip   conan: it is not installed; sh tests/run.sh --all puts it into a venv"
else
    if ! command -v conan >/dev/null 2>&1; then
        venv=$folder/venv
        [ -x "$venv/bin/conan" ] || {
            run python3 -m venv "$venv"
            run "$venv/bin/pip" install --quiet --disable-pip-version-check "conan>=2,<3"
        }
        PATH=$venv/bin:$PATH
    fi
    CONAN_HOME=$work/conan
    NULLM_JSON_INCLUDE=$(echo '#include <nlohmann/json.hpp>' | "$cxx" -x c++ -M - | tr ' ' '\n' |
        sed -n 's,/nlohmann/json\.hpp$,,p')
    export CONAN_HOME NULLM_JSON_INCLUDE
    run conan profile detect
    run conan remote disable '*'
    run conan create "$here/stand_in/conan"
    cp -R "$tree/packaging/conan/test_package" "$work/test_package" # it is built where it lies
    run conan create "$tree/packaging/conan" --test-folder "$work/test_package" --settings compiler.cppstd=20 \
        --conf "tools.build:compiler_executables={'cpp': '$cxx'}"
    done_ "conan create with its test_package, $(conan --version), over a stand-in for Conan Center's nlohmann_json"
fi
