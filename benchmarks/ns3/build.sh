#!/bin/sh
# Builds the ns-3 program of the benchmark against the ns-3 libraries of this machine.
#
# Debian and Ubuntu (apt install g++ libns3-dev): ./build.sh
# Another build of ns-3: set any of
#   VER     the part of the library names after "libns" (Debian: 3; a source build: 3.37)
#   SUF     the part after the module name (a source build with --build-profile=optimized: -optimized)
#   STD     the C++ standard its headers want (c++17 up to 3.39, c++20 later)
#   INC     the folder that holds ns3/core-module.h, when the compiler does not look there by itself
#   LIBDIR  the folder with the libraries, when the linker does not look there by itself
#   DEFS    more compiler options, such as -march=native
#   OUT     the program to make (default: anchor beside this file)
set -eu
here=$(dirname "$0")
ver=${VER:-3} suffix=${SUF:-} standard=${STD:-c++17} out=${OUT:-$here/anchor}

paths=""
[ -z "${INC:-}" ] || paths="$paths -I$INC"
[ -z "${LIBDIR:-}" ] || paths="$paths -L$LIBDIR -Wl,-rpath,$LIBDIR"
libraries=""
for module in core network internet csma point-to-point bridge applications virtual-net-device stats traffic-control; do
  libraries="$libraries -lns$ver-$module$suffix"
done

# shellcheck disable=SC2086  # lists of options
exec "${CXX:-g++}" "-std=$standard" -O3 ${DEFS:-} $paths "$here/anchor.cc" -o "$out" $libraries
