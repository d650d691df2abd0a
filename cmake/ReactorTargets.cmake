# SPDX-License-Identifier: MIT

include("${CMAKE_CURRENT_LIST_DIR}/ReactorHardening.cmake")

# reactor_private_flags(TARGET): adds the warnings for this project's own sources. An exported
# target does not pass them on to applications.
function(reactor_private_flags target)
  set(flags -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
  if(REACTOR_WARNINGS_AS_ERRORS)
    list(APPEND flags -Werror)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # These warnings are false alarms on the operators of std::string (GCC bugs 105329 and 105651).
    list(APPEND flags -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow)
  endif()
  target_compile_options(${target} PRIVATE ${flags})
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()

# This is off by default, so that the build fails if a source does not include the headers it needs.
option(REACTOR_PRECOMPILE_HEADERS "Precompile standard headers, to build in less time" OFF)

function(reactor_precompile_headers target)
  if(REACTOR_PRECOMPILE_HEADERS)
    target_precompile_headers(
      ${target} PRIVATE
      <algorithm> <array> <atomic> <charconv> <chrono> <cstring> <deque> <exception> <functional>
      <map> <memory> <optional> <span> <string> <string_view> <system_error> <unordered_map>
      <utility> <vector>)
  endif()
endfunction()

# reactor_component_headers(COMPONENT PUBLIC PRIVATE): sets PUBLIC and PRIVATE to the headers in the
# folders of this component. The headers in a folder internal/ are private.
function(reactor_component_headers component public private)
  set(headers "")
  if(component STREQUAL "CORE")
    set(headers "${PROJECT_SOURCE_DIR}/reactor/reactor.h")
  endif()
  foreach(folder IN LISTS REACTOR_${component}_DIRS)
    file(GLOB_RECURSE found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/reactor/${folder}/*.h")
    list(APPEND headers ${found})
  endforeach()
  set(internal "${headers}")
  # The project itself may lie in a folder called internal.
  list(FILTER internal INCLUDE REGEX "/reactor/[^/]+/(.*/)?internal/[^/]*(/[^/]*)*\\.h$")
  list(REMOVE_ITEM headers ${internal})
  set(${public} "${headers}" PARENT_SCOPE)
  set(${private} "${internal}" PARENT_SCOPE)
endfunction()

# reactor_add_library(TARGET COMPONENT EXPORT_NAME NAME): builds one component of Makefile.inc as
# the library TARGET. This tree and applications refer to it as reactor::NAME.
function(reactor_add_library target component)
  cmake_parse_arguments(arg "" "EXPORT_NAME" "" ${ARGN})
  add_library(${target})
  add_library(reactor::${arg_EXPORT_NAME} ALIAS ${target})
  reactor_component_headers(${component} public private)
  target_sources(
    ${target}
    PRIVATE ${REACTOR_${component}_SRCS} ${private}
    PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}" FILES ${public})
  target_compile_features(${target} PUBLIC cxx_std_20)
  reactor_private_flags(${target})
  reactor_harden(${target})
  reactor_precompile_headers(${target})
  set_target_properties(
    ${target} PROPERTIES EXPORT_NAME ${arg_EXPORT_NAME} VERSION ${PROJECT_VERSION}
                         SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endfunction()
