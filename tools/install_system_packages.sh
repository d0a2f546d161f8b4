#!/usr/bin/env bash
# Installs what the build and the tests need from the system, if anything is missing.
#
# Usage: install_system_packages.sh [PYTHON [PROGRAM...]]
#
# PROGRAM: what else is needed, such as valgrind; its package is called as the program is, or named in package_of.
#
# As root, or with a sudo that asks no password, it calls apt-get; otherwise it prints
# the command to run and fails. Debian 12, Ubuntu 22.04 and 24.04 use the same names.
set -euo pipefail

python=${1:-python3}
cc=${CC:-cc}
missing=()

need() { # need PACKAGE... -- TEST...: the packages are missing unless the test succeeds
    local packages=()
    while [ "$1" != -- ]; do packages+=("$1"); shift; done
    shift
    "$@" >/dev/null 2>&1 || missing+=("${packages[@]}")
}

header() { # header NAME [FOLDER]: the compiler finds it, or it is in FOLDER
    [ -n "${2:-}" ] && [ -f "$2/$1" ] && return
    # <stddef.h> goes first: some headers rely on size_t being there.
    printf '#include <stddef.h>\n#include <%s>\n' "$1" | $cc -E -
}

library() { # library NAME [FOLDER]: an archive or a shared library to link with
    [ -n "${2:-}" ] && [ -f "$2/$1" ] && return
    local found # a bare name means that there is no such file
    found=$($cc -print-file-name="$1") && [ "$found" != "$1" ]
}

python_header() {
    [ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ]
}

package_of() { # package_of PROGRAM
    case $1 in
    perf) if grep -q '^ID=ubuntu' /etc/os-release; then echo linux-tools-generic; else echo linux-perf; fi ;;
    *) echo "$1" ;;
    esac
}

# Debian and Ubuntu keep a Python's venv and headers in packages of their own.
version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])' 2>/dev/null || basename "$python")

need gcc -- command -v "${cc%% *}"
need binutils -- command -v readelf
need libc6-dev -- header stdio.h
need pkg-config -- command -v pkg-config
need libpmemobj-dev -- header libpmemobj.h "${PMEMOBJ_INCLUDE_DIR:-}"
need libpmemobj-dev -- library libpmemobj.a "${PMEMOBJ_LIB_DIR:-}"
need libpmem-dev -- library libpmem.a "${PMEMOBJ_LIB_DIR:-}"
need libndctl-dev -- library libndctl.so
need libdaxctl-dev -- library libdaxctl.so
need libxxhash-dev -- header xxhash.h "${XXHASH_INCLUDE_DIR:-}"
need "$version" -- command -v "$python"
need "$version-venv" -- "$python" -c 'import venv, ensurepip'
need "$version-dev" -- python_header
# For the tests: the interpreter's own suites, and the checker of libpmemobj's pools.
need "lib$version-testsuite" -- "$python" -c 'import test.list_tests, test.mapping_tests, test.test_set'
need pmdk-tools -- command -v pmempool
for program in "${@:2}"; do
    need "$(package_of "$program")" -- command -v "$program"
done

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
echo "Missing on this system: ${missing[*]}"

if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here: install the equivalent of these Debian packages." >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    sudo=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo=(sudo)
else
    echo "Run this, then try again:" >&2
    echo "    sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
    exit 1
fi
"${sudo[@]}" apt-get update -q
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null
