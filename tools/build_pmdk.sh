#!/usr/bin/env bash
# Builds libpmemobj.a and libpmem.a for the wheels, where no distribution package has them.
#
# Usage: build_pmdk.sh PREFIX        PMDK_SOURCE=DIR uses a checkout instead of cloning
#
# Without ndctl: a wheel then needs nothing but libc. What is lost is PMDK's check for
# bad blocks and unsafe shutdowns of real persistent memory; build from source for that.
set -euo pipefail

version=1.12.1
commit=786098a024c6fe60e746f2cb1041bcfcd21386c9
prefix=$1
source=${PMDK_SOURCE:-}

if [ -z "$source" ]; then
    source=$(mktemp -d)/pmdk
    git clone -q --depth 1 --branch "$version" https://github.com/pmem/pmdk "$source"
    [ "$(git -C "$source" rev-parse HEAD)" = "$commit" ]
fi

# -Wno-error: PMDK's own stand-ins for ndctl have unused parameters.
options=(NDCTL_ENABLE=n BUILD_RPMEM=n EXTRA_CFLAGS=-Wno-error prefix="$prefix" libdir="$prefix/lib")
make -s -j"$(nproc)" -C "$source/src/libpmem" "${options[@]}"
make -s -j"$(nproc)" -C "$source/src/libpmemobj" "${options[@]}"
rm -f "$source"/src/*.pc # they name the prefix of the last run
make -s -C "$source/src" "${options[@]}" libpmem.pc libpmemobj.pc

mkdir -p "$prefix/include" "$prefix/lib/pkgconfig"
cp -r "$source"/src/include/libpmem.h "$source"/src/include/libpmemobj{.h,} "$prefix/include/"
cp "$source"/src/nondebug/libpmem{,obj}.a "$prefix/lib/"
cp "$source"/src/libpmem{,obj}.pc "$prefix/lib/pkgconfig/"
