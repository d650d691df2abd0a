# SPDX-License-Identifier: MIT
# Installs the libraries, their public headers, the CMake package and one .pc per library.
# The exported files contain no absolute path, so an installed tree can be moved.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/reactor")

# Each library that depends on a foreign library has its own export. An application that does not
# use it then does not need the foreign library.
set(libraries reactor reactor_http reactor_coro reactor_prefork)
install(TARGETS ${libraries} EXPORT reactor-targets FILE_SET HEADERS)
install(EXPORT reactor-targets NAMESPACE reactor:: DESTINATION "${package_dir}")
if(REACTOR_WITH_SPDLOG)
  install(TARGETS reactor_spdlog EXPORT reactor-spdlog-targets FILE_SET HEADERS)
  install(EXPORT reactor-spdlog-targets NAMESPACE reactor:: DESTINATION "${package_dir}")
endif()
if(REACTOR_HAS_DNS)
  install(TARGETS reactor_dns EXPORT reactor-dns-targets FILE_SET HEADERS)
  install(EXPORT reactor-dns-targets NAMESPACE reactor:: DESTINATION "${package_dir}")
endif()
if(REACTOR_WITH_TLS)
  install(TARGETS reactor_tls EXPORT reactor-tls-targets FILE_SET HEADERS)
  install(EXPORT reactor-tls-targets NAMESPACE reactor:: DESTINATION "${package_dir}")
endif()

configure_package_config_file(
  cmake/reactor-config.cmake.in reactor-config.cmake INSTALL_DESTINATION "${package_dir}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(reactor-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/reactor-config.cmake"
              "${PROJECT_BINARY_DIR}/reactor-config-version.cmake"
        DESTINATION "${package_dir}")

file(RELATIVE_PATH pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")

# reactor_install_pc(NAME LIBRARY DESCRIPTION [REQUIRES modules] [FOREIGN modules] [LIBS flags])
# FOREIGN and LIBS are the dependencies that a shared library links itself. With a static archive
# the application has to link them, so the .pc file lists them as public.
function(reactor_install_pc name library description)
  cmake_parse_arguments(arg "" "REQUIRES;FOREIGN;LIBS" "" ${ARGN})
  set(requires "${arg_REQUIRES}")
  set(requires_private "")
  set(libs "")
  set(libs_private "")
  if(BUILD_SHARED_LIBS)
    set(requires_private "${arg_FOREIGN}")
    set(libs_private "${arg_LIBS}")
  else()
    string(APPEND requires " ${arg_FOREIGN}")
    set(libs "${arg_LIBS}")
  endif()
  configure_file(cmake/reactor.pc.in "${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()

set(kqueue "")
if(REACTOR_HAS_LIBKQUEUE)
  set(kqueue FOREIGN libkqueue)
endif()
set(core "reactor = ${PROJECT_VERSION}")
reactor_install_pc(reactor reactor "event loop and transports" ${kqueue} LIBS -pthread)
reactor_install_pc(reactor-http reactor_http "HTTP/1.1 server" REQUIRES "${core}")
reactor_install_pc(reactor-coro reactor_coro "coroutines" REQUIRES "${core}")
reactor_install_pc(reactor-prefork reactor_prefork "prefork master" REQUIRES "${core}")
if(REACTOR_WITH_SPDLOG)
  reactor_install_pc(reactor-spdlog reactor_spdlog "spdlog adaptor" REQUIRES "${core}" FOREIGN spdlog)
endif()
if(REACTOR_HAS_DNS)
  reactor_install_pc(reactor-dns reactor_dns "resolver" REQUIRES "${core}" FOREIGN libcares)
endif()
if(REACTOR_WITH_TLS)
  reactor_install_pc(reactor-tls reactor_tls "TLS by OpenSSL" REQUIRES "${core}" FOREIGN openssl)
endif()
