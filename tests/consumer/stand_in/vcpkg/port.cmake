# cmake -DTREE=... -DWORK=... -P port.cmake: runs the port's portfile.cmake without vcpkg, which cannot be had offline.
# The functions below stand in for vcpkg's helpers and do with plain cmake what the portfile needs of them. What vcpkg
# itself would say (its post-build checks, its manifest parser) is not tested.
cmake_minimum_required(VERSION 3.22)

set(PORT nullm)
set(CURRENT_PORT_DIR ${TREE}/packaging/vcpkg/ports/nullm)
set(CURRENT_BUILDTREES_DIR ${WORK}/buildtrees)
set(CURRENT_PACKAGES_DIR ${WORK}/packages)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed: ${ARGN}")
  endif()
endfunction()

function(vcpkg_cmake_configure)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "SOURCE_PATH" "OPTIONS")
  if(NOT VCPKG_BUILD_TYPE STREQUAL "release")
    message(FATAL_ERROR "the stand-in knows no debug variant")
  endif()
  run(${CMAKE_COMMAND} -S ${arg_SOURCE_PATH} -B ${CURRENT_BUILDTREES_DIR} -DCMAKE_BUILD_TYPE=Release
      -DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR} -DCMAKE_INSTALL_LIBDIR:STRING=lib -DBUILD_SHARED_LIBS=OFF
      -DFETCHCONTENT_FULLY_DISCONNECTED=ON ${arg_OPTIONS})
endfunction()

function(vcpkg_cmake_install)
  run(${CMAKE_COMMAND} --build ${CURRENT_BUILDTREES_DIR})
  run(${CMAKE_COMMAND} --install ${CURRENT_BUILDTREES_DIR})
endfunction()

# vcpkg's moves the files to share/<port> and rewrites paths; ours insists that neither is needed.
function(vcpkg_cmake_config_fixup)
  file(GLOB files ${CURRENT_PACKAGES_DIR}/share/${PORT}/*.cmake)
  if(NOT EXISTS ${CURRENT_PACKAGES_DIR}/share/${PORT}/nullmConfig.cmake)
    message(FATAL_ERROR "share/${PORT} has no nullmConfig.cmake")
  endif()
  foreach(name ${files})
    file(READ ${name} text)
    if(text MATCHES "${CURRENT_PACKAGES_DIR}")
      message(FATAL_ERROR "${name} names the folder it was installed to")
    endif()
  endforeach()
endfunction()

function(vcpkg_fixup_pkgconfig)
  file(READ ${CURRENT_PACKAGES_DIR}/share/pkgconfig/nullm.pc text)
  if(NOT text MATCHES "prefix=\\\${pcfiledir}/\\.\\./\\.\\.\n")
    message(FATAL_ERROR "nullm.pc does not find its prefix from where it lies")
  endif()
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "FILE_LIST")
  file(INSTALL ${arg_FILE_LIST} DESTINATION ${CURRENT_PACKAGES_DIR}/share/${PORT} RENAME copyright)
endfunction()

include(${CURRENT_PORT_DIR}/portfile.cmake)

# The manifest is JSON, and its version is the library's.
file(READ ${CURRENT_PORT_DIR}/vcpkg.json manifest)
string(JSON version GET "${manifest}" version)
string(JSON name GET "${manifest}" name)
file(READ ${CURRENT_PACKAGES_DIR}/share/nullm/nullmConfigVersion.cmake text)
if(NOT name STREQUAL PORT OR NOT text MATCHES "PACKAGE_VERSION \"${version}\"")
  message(FATAL_ERROR "vcpkg.json says ${name} ${version}, the library is another version")
endif()

# What vcpkg insists on, as far as it concerns a header-only port.
foreach(name copyright usage nullmConfig.cmake nullmTargets.cmake)
  if(NOT EXISTS ${CURRENT_PACKAGES_DIR}/share/nullm/${name})
    message(FATAL_ERROR "share/nullm/${name} is missing")
  endif()
endforeach()
file(GLOB top RELATIVE ${CURRENT_PACKAGES_DIR} ${CURRENT_PACKAGES_DIR}/* ${CURRENT_PACKAGES_DIR}/share/*)
list(SORT top)
if(NOT top STREQUAL "include;share;share/nullm;share/pkgconfig")
  message(FATAL_ERROR "the port packages ${top}")
endif()
