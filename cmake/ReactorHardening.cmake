# SPDX-License-Identifier: MIT
# Defines the compiler and linker flags that make a memory error stop a server, so that an attacker
# can't exploit it. They follow the OpenSSF guide "Compiler Options Hardening Guide for C and C++".
# A flag that the compiler or the linker does not support is left out.
include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)
include(CheckLinkerFlag)
include(CheckPIESupported)

option(REACTOR_HARDENING "Harden optimised builds of the libraries and the servers"
       ${PROJECT_IS_TOP_LEVEL})

set(REACTOR_HARDENING_FLAGS "")
set(REACTOR_HARDENING_LINK_FLAGS "")
if(REACTOR_HARDENING)
  foreach(flag IN ITEMS -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER "REACTOR_HAS${flag}" has)
    check_cxx_compiler_flag(${flag} ${has})
    if(${has})
      list(APPEND REACTOR_HARDENING_FLAGS ${flag})
    endif()
  endforeach()
  foreach(flag IN ITEMS -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
    string(MAKE_C_IDENTIFIER "REACTOR_HAS${flag}" has)
    check_linker_flag(CXX ${flag} ${has})
    if(${has})
      list(APPEND REACTOR_HARDENING_LINK_FLAGS ${flag})
    endif()
  endforeach()
  # Level 3 needs __builtin_dynamic_object_size, and a C library that uses it.
  set(CMAKE_REQUIRED_FLAGS "-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -Werror")
  check_cxx_source_compiles("#include <cstring>
int main(int count, char** words) {
  return __builtin_dynamic_object_size(words[0], 0) == 0 || count == 0;
}" REACTOR_HAS_FORTIFY_3)
  unset(CMAKE_REQUIRED_FLAGS)
  # -U comes first because some compilers define _FORTIFY_SOURCE themselves.
  list(APPEND REACTOR_HARDENING_FLAGS -U_FORTIFY_SOURCE
       "-D_FORTIFY_SOURCE=$<IF:$<BOOL:${REACTOR_HAS_FORTIFY_3}>,3,2>")
  check_pie_supported(LANGUAGES CXX)
endif()

# reactor_harden(TARGET): adds the flags to TARGET in optimised builds. Other builds don't need
# them: _FORTIFY_SOURCE does nothing without optimisation, and debug builds have the sanitizers.
function(reactor_harden target)
  if(NOT REACTOR_HARDENING)
    return()
  endif()
  set(optimised "$<CONFIG:Release,RelWithDebInfo,MinSizeRel>")
  target_compile_options(${target} PRIVATE "$<${optimised}:${REACTOR_HARDENING_FLAGS}>")
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_options(${target} PRIVATE "$<${optimised}:${REACTOR_HARDENING_LINK_FLAGS}>")
  elseif(NOT BUILD_SHARED_LIBS AND NOT CMAKE_POSITION_INDEPENDENT_CODE)
    # -fPIE lets a position-independent program link this static library. A shared library would
    # need -fPIC, which is slower.
    target_compile_options(${target} PRIVATE -fPIE)
  endif()
endfunction()
