# What a portfile calls, as far as it takes to run one without vcpkg: the release build alone, with
# this machine's tools. Usage: cmake -DPORT_DIR=... -DARCHIVE=... -DVERSION=... -DWORK=...
# -DLINKAGE=static|dynamic [-DFEATURES=tool] -P stubs.cmake; the package is made in WORK/package.
# SPDX-License-Identifier: MIT
cmake_minimum_required(VERSION 3.13)
set(CURRENT_PACKAGES_DIR "${WORK}/package")
set(PORT libglow)
set(given "${ARCHIVE}")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${text}")
  endif()
endfunction()

# The arguments that a call of the portfile must have, and no others.
macro(arguments name flags one many)
  cmake_parse_arguments(given "${flags}" "${one}" "${many}" ${ARGN})
  if(given_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${name}: unknown arguments ${given_UNPARSED_ARGUMENTS}")
  endif()
endmacro()

function(vcpkg_download_distfile out)
  arguments(vcpkg_download_distfile "" "FILENAME;SHA512" "URLS" ${ARGN})
  get_filename_component(name "${given}" NAME)
  file(SHA512 "${given}" sum)
  if(NOT name STREQUAL given_FILENAME OR NOT sum STREQUAL given_SHA512 OR NOT given_URLS)
    message(FATAL_ERROR "${name} with ${sum} is not ${given_FILENAME} with ${given_SHA512}")
  endif()
  set(${out} "${given}" PARENT_SCOPE)
endfunction()

function(vcpkg_extract_source_archive out)
  arguments(vcpkg_extract_source_archive "" "ARCHIVE" "" ${ARGN})
  file(MAKE_DIRECTORY "${WORK}/source")
  run(${CMAKE_COMMAND} -E chdir "${WORK}/source" ${CMAKE_COMMAND} -E tar xf "${given_ARCHIVE}")
  file(GLOB folder "${WORK}/source/*") # the one that the archive has
  set(${out} "${folder}" PARENT_SCOPE)
endfunction()

function(vcpkg_configure_meson)
  arguments(vcpkg_configure_meson "" "SOURCE_PATH" "OPTIONS" ${ARGN})
  set(kind shared)
  if(LINKAGE STREQUAL static)
    set(kind static)
  endif()
  run(meson setup "${WORK}/build" "${given_SOURCE_PATH}" --prefix "${CURRENT_PACKAGES_DIR}" --libdir lib
    --default-library ${kind} ${given_OPTIONS})
endfunction()

function(vcpkg_install_meson)
  run(meson install -C "${WORK}/build")
endfunction()

function(vcpkg_fixup_pkgconfig)
  if(NOT EXISTS "${CURRENT_PACKAGES_DIR}/lib/pkgconfig/libglow.pc")
    message(FATAL_ERROR "no libglow.pc")
  endif()
endfunction()

function(vcpkg_cmake_config_fixup)
  arguments(vcpkg_cmake_config_fixup "" "CONFIG_PATH;PACKAGE_NAME" "" ${ARGN})
  file(RENAME "${CURRENT_PACKAGES_DIR}/${given_CONFIG_PATH}" "${CURRENT_PACKAGES_DIR}/share/${PORT}")
endfunction()

function(vcpkg_replace_string file from to)
  file(READ "${file}" text)
  string(FIND "${text}" "${from}" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "${file} has no ${from}")
  endif()
  string(REPLACE "${from}" "${to}" text "${text}")
  file(WRITE "${file}" "${text}")
endfunction()

function(vcpkg_copy_tools)
  arguments(vcpkg_copy_tools "AUTO_CLEAN" "" "TOOL_NAMES" ${ARGN})
  file(MAKE_DIRECTORY "${CURRENT_PACKAGES_DIR}/tools/${PORT}")
  foreach(tool ${given_TOOL_NAMES})
    file(RENAME "${CURRENT_PACKAGES_DIR}/bin/${tool}" "${CURRENT_PACKAGES_DIR}/tools/${PORT}/${tool}")
  endforeach()
endfunction()

function(vcpkg_install_copyright)
  arguments(vcpkg_install_copyright "" "" "FILE_LIST" ${ARGN})
  file(READ "${given_FILE_LIST}" text)
  file(WRITE "${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright" "${text}")
endfunction()

include("${PORT_DIR}/portfile.cmake")
