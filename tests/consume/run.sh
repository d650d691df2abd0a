#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh TEST: one way to use the library. Reads SOURCE (the project), BUILD (a configured and
# built tree of it), WORK (a folder to use up), CXX, CXXFLAGS.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
test=$1
prefix="$WORK/moved"
dir="$WORK/$test"
export SOURCE CXX CXXFLAGS

say() { echo "consume: $*"; }
fail() { echo "consume: $*" >&2; exit 1; }

# Installs, then moves the tree: all the others use it at its new place.
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

# use_makefile_inc MAKE [SETTING]: from another folder, against a copy of the sources in a third.
use_makefile_inc() {
  mkdir -p "$dir/tree" "$dir/app"
  cp -R "$SOURCE/Makefile.inc" "$SOURCE/reactor" "$dir/tree"
  cd "$dir/app"
  check_increments "$1"
  "$@" -f "$here/makefile_inc/Makefile" SOURCE="$dir/tree" MAIN="$here/main.cc"
  mv app "$dir/app.run" && cd "$dir" && rm -rf app && mv app.run app
}

# The compiler here only creates the file after -o.
check_increments() {
  cat >"$dir/fake-c++" <<'END'
#!/bin/sh
while [ "$1" != -o ]; do shift; done
: >"$2"
END
  chmod +x "$dir/fake-c++"
  cd "$dir/app"
  all=$(counted "$1")
  expected=$(find "$dir/tree/reactor" -name '*.cc' ! -name '*spdlog*' ! -path '*/dns/*' ! -path '*/tls/*' | wc -l)
  [ "$all" -eq "$expected" ] || fail "$expected files to compile, compiled $all"
  settle
  [ "$(counted "$1")" -eq 0 ] || fail "compiled again with nothing changed"
  touch "$dir/tree/reactor/net/stream.cc"
  [ "$(counted "$1")" -eq 1 ] || fail "one file changed, but not one compiled"
  settle
  touch "$dir/tree/reactor/net/stream.h"
  [ "$(counted "$1")" -eq "$expected" ] || fail "a header changed, and not all was compiled"
  rm -rf fake
  core=$(counted "$1" REACTOR_COMPONENTS=core)
  [ "$core" -lt "$all" ] || fail "REACTOR_COMPONENTS=core compiled all $core files"
  rm -rf fake
  [ "$(counted "$1" REACTOR_COMPONENTS="core tls")" -gt "$core" ] || fail "the component tls is empty"
  rm -rf fake app
}

# Makes the objects older than now and the sources older than them: BSD make counts seconds.
settle() {
  find "$dir/tree" -exec touch -t 202001010000 {} +
  find fake -exec touch -t 202101010000 {} +
}

counted() {
  make=$1 && shift
  "$make" -f "$here/makefile_inc/Makefile" SOURCE="$dir/tree" MAIN="$here/main.cc" \
    CXX="$dir/fake-c++" REACTOR_BUILD=fake "$@" >"$dir/make.log"
  grep -c '^reactor: compiling' "$dir/make.log" || true
}

# Each installed header compiles alone.
check_headers() {
  find "$prefix/include" -name '*.h' | while read -r header; do
    echo "#include \"$header\"" | "$CXX" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Werror \
      -I"$prefix/include" -x c++ - || { echo "consume: $header does not compile alone" >&2; exit 1; }
  done
}

rm -rf "$dir"
mkdir -p "$WORK"
case $test in
  install) install_and_move; exit ;;
  headers) check_headers; exit ;;
  find_package | subdirectory) build_with_cmake ;;
  pkgconfig) use_pkgconfig ;;
  makefile_inc_make) use_makefile_inc make ;;
  makefile_inc_bmake) use_makefile_inc bmake REACTOR_COMPONENTS=core ;;
  *) fail "there is no test $test" ;;
esac
python3 "$here/try_echo.py" "$dir/app"
say "$test works"
