#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds each fuzz target into OUT, together with its dictionary and its seed corpus. Run it in the
# project's top folder. OSS-Fuzz and tests/fuzz/run set CXX, CXXFLAGS, LIB_FUZZING_ENGINE, WORK and
# OUT.
set -eu
: "${CXX:?}" "${CXXFLAGS:?}" "${LIB_FUZZING_ENGINE:?}" "${OUT:?}"
build=${WORK:-build}/fuzz-build
mkdir -p "$OUT"

cmake -S . -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_BUILD_TYPE=None \
  -DCMAKE_CXX_FLAGS="$CXXFLAGS" -DREACTOR_WARNINGS_AS_ERRORS=OFF -DREACTOR_BUILD_FUZZ=ON \
  -DREACTOR_BUILD_TESTS=OFF -DREACTOR_BUILD_BENCH=OFF -DREACTOR_BUILD_EXAMPLES=OFF \
  -DREACTOR_BUILD_SERVERS=OFF -DREACTOR_INSTALL=OFF -DREACTOR_WITH_SPDLOG=OFF \
  -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=8 \
  -DREACTOR_WITH_DNS=OFF -DREACTOR_WITH_TLS=ON -DOPENSSL_USE_STATIC_LIBS=TRUE
cmake --build "$build"

for program in "$build"/tests/fuzz/fuzz_*; do
  [ -f "$program" ] || continue
  name=${program##*/fuzz_}
  cp "$program" "$OUT/fuzz_$name"
  cp tests/fuzz/http.dict "$OUT/fuzz_$name.dict"
  python3 -m zipfile -c "$OUT/fuzz_${name}_seed_corpus.zip" tests/fuzz/corpus/"$name"/*
done
