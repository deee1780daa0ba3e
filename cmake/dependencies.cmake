# What tests, examples and benchmarks use (the library itself uses none of it): the installed package if there is
# one, else the sources. FETCHCONTENT_SOURCE_DIR_<NAME> points the latter at a local copy.
include(FetchContent)

function(nullm_dependency name target)
  cmake_parse_arguments(DEP "" "URL;HASH" "" ${ARGN})
  if(TARGET ${target})
    return()
  endif()
  find_package(${name} QUIET)
  if(NOT TARGET ${target})
    FetchContent_Declare(${name} URL ${DEP_URL} URL_HASH SHA256=${DEP_HASH})
    FetchContent_MakeAvailable(${name})
  endif()
endfunction()
