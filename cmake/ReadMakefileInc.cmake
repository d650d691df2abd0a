# SPDX-License-Identifier: MIT
# reactor_read_makefile_inc(FILE): sets a list variable NAME in the caller for each assignment
# "REACTOR_NAME = value ..." in FILE. It reads FILE only up to the line that begins with "# ----".
function(reactor_read_makefile_inc file)
  file(READ "${file}" text)
  string(REGEX REPLACE "# ---- .*" "" text "${text}")
  string(REGEX REPLACE "\\\\\n" " " text "${text}")
  string(REGEX MATCHALL "REACTOR_[A-Z_]+ *=[^\n]*" assignments "${text}")
  foreach(assignment IN LISTS assignments)
    string(REGEX MATCH "^(REACTOR_[A-Z_]+) *=(.*)$" _ "${assignment}")
    set(name "${CMAKE_MATCH_1}")
    separate_arguments(value UNIX_COMMAND "${CMAKE_MATCH_2}")
    set(${name} "${value}" PARENT_SCOPE)
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
endfunction()
