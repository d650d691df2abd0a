# SPDX-License-Identifier: MIT
# Compiles for macOS on arm64 with zig's clang and macOS headers, to check that the sources compile.
# Nothing is linked. If REACTOR_MACOS_X86_64 is set in the environment, the sources are compiled for
# x86_64 as well.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

set(tools "${CMAKE_CURRENT_LIST_DIR}/macos-zig")
if(NOT DEFINED ENV{REACTOR_ZIG})
  execute_process(
    COMMAND "${tools}/fetch" "${CMAKE_CURRENT_LIST_DIR}/../build/zig"
    OUTPUT_VARIABLE zig OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_VARIABLE why RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${why}")
  endif()
endif()
set(CMAKE_CXX_COMPILER "${tools}/c++")
set(CMAKE_AR "${tools}/ar" CACHE FILEPATH "")
set(CMAKE_RANLIB "${tools}/ranlib" CACHE FILEPATH "")
set(CMAKE_INSTALL_NAME_TOOL true)
