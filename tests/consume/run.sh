#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh TEST: tests one way to use the library. The environment has SOURCE (the project's folder),
# BUILD (a tree that was configured and built), WORK (a scratch folder), CXX and CXXFLAGS.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
test=$1
prefix="$WORK/moved"
dir="$WORK/$test"
warnings="-Wall -Wextra -Wpedantic -Werror"
export SOURCE CXX CXXFLAGS

say() { echo "consume: $*"; }
fail() { echo "consume: $*" >&2; exit 1; }

# Installs the library and then moves the installed tree. The other tests use it at its new place.
install_and_move() {
  rm -rf "$WORK/prefix" "$prefix"
  cmake --install "$BUILD" --prefix "$WORK/prefix" >"$WORK/install.log"
  mv "$WORK/prefix" "$prefix"
  if grep -rE "$WORK|$SOURCE|$BUILD" "$prefix" --include='*.cmake' --include='*.pc'; then
    fail "an exported file names an absolute path"
  fi
}

build_with_cmake() {
  cmake -S "$here/$test" -B "$dir" -G Ninja -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_CXX_FLAGS="$CXXFLAGS" \
    -DCMAKE_PREFIX_PATH="$prefix" -DREACTOR_SOURCE_DIR="$SOURCE"
  cmake --build "$dir" --target app
}

use_pkgconfig() {
  mkdir -p "$dir" && cd "$dir"
  pc=$(find "$prefix" -name reactor.pc)
  PKG_CONFIG_PATH=$(dirname "$pc")${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH} make -f "$here/pkgconfig/Makefile"
}

# Builds in one folder from a copy of the sources in another, with GNU make and then with BSD make.
# The second make continues with the objects that the first has built.
use_makefile_inc() {
  mkdir -p "$dir/tree" "$dir/elsewhere"
  cp -R "$SOURCE/Makefile.inc" "$SOURCE/reactor" "$dir/tree"
  cd "$dir/elsewhere"
  makes=make
  if command -v bmake >/dev/null; then makes="make bmake"; else say "skipped: bmake"; fi
  for make in $makes; do
    check_increments "$make"
  done
  to_compile=$(compiled_sources | wc -l)
  for make in $makes; do
    settle
    touch "$dir/tree/reactor/net/stream/stream.cc"
    run_make "$make" CXXFLAGS="$CXXFLAGS $warnings"
    [ "$(count_compiled)" -eq "$to_compile" ] || fail "$make compiled not $to_compile files"
    to_compile=1
    mv app "$dir/app"
  done
}

compiled_sources() {
  find "$dir/tree/reactor" -name '*.cc' ! -name '*spdlog*' ! -path '*/dns/*' ! -path '*/tls/*'
}

run_make() {
  make=$1 && shift
  "$make" -f "$here/makefile_inc/Makefile" SOURCE="$dir/tree" MAIN="$here/main.cc" "$@" >"$dir/make.log" ||
    fail "$make failed"
}

count_compiled() { grep -c '^reactor: compiling' "$dir/make.log" || true; }

# check_increments MAKE: checks which sources are compiled again after a change. The compiler is a
# script that only creates the file after -o.
check_increments() {
  cat >"$dir/fake-c++" <<'END'
#!/bin/sh
while [ "$1" != -o ]; do shift; done
: >"$2"
END
  chmod +x "$dir/fake-c++"
  all=$(counted "$1")
  expected=$(compiled_sources | wc -l)
  [ "$all" -eq "$expected" ] || fail "$expected files to compile, compiled $all"
  settle
  [ "$(counted "$1")" -eq 0 ] || fail "compiled again with nothing changed"
  touch "$dir/tree/reactor/net/stream/stream.cc"
  [ "$(counted "$1")" -eq 1 ] || fail "one file changed, but not one compiled"
  settle
  touch "$dir/tree/reactor/net/stream/stream.h"
  [ "$(counted "$1")" -eq "$expected" ] || fail "a header changed, and not all was compiled"
  rm -rf fake
  core=$(counted "$1" REACTOR_COMPONENTS=core)
  [ "$core" -lt "$all" ] || fail "REACTOR_COMPONENTS=core compiled all $core files"
  rm -rf fake
  [ "$(counted "$1" REACTOR_COMPONENTS="core tls")" -gt "$core" ] || fail "the component tls is empty"
  rm -rf fake app
}

# Gives the objects an old time and the sources a still older time. Without this, files that changed
# within one second could look equally old, because BSD make compares whole seconds.
settle() {
  find "$dir/tree" -exec touch -t 202001010000 {} +
  find "$dir/elsewhere" -exec touch -t 202101010000 {} +
}

counted() {
  make=$1 && shift
  run_make "$make" CXX="$dir/fake-c++" REACTOR_BUILD=fake "$@"
  count_compiled
}

# Checks that each installed header compiles alone. It skips a header if Makefile.inc compiles a
# source of the same name by default: the source includes its own header first, which is the same
# check.
check_headers() {
  cd "$prefix/include"
  find . -name '*.h' | while read -r header; do
    case $header in */tls/* | */dns/* | *_spdlog.h) ;;
    *) [ ! -f "$SOURCE/${header%.h}.cc" ] || continue ;;
    esac
    # shellcheck disable=SC2086
    echo "#include \"$header\"" | "$CXX" -std=c++20 -fsyntax-only $warnings -I. -x c++ - ||
      fail "$header does not compile alone"
  done
}

rm -rf "$dir"
mkdir -p "$WORK"
case $test in
  install) install_and_move; exit ;;
  headers) check_headers; exit ;;
  find_package | subdirectory) build_with_cmake ;;
  pkgconfig) use_pkgconfig ;;
  makefile_inc) use_makefile_inc ;;
  *) fail "there is no test $test" ;;
esac
python3 "$here/try_echo.py" "$dir/app"
say "$test works"
