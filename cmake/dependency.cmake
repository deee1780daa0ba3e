# How this project gets what it does not write itself: from the installed package if there is one, else from the sources
# of a pinned release. FETCHCONTENT_SOURCE_DIR_<NAME> points the latter at a local copy.

# nullm_dependency(name target repository tag [oldest version])
# A macro, so that the imported targets live in the including directory.
macro(nullm_dependency name target repository tag)
  if(NOT TARGET ${target})
    find_package(${name} ${ARGN} QUIET)
  endif()
  if(NOT TARGET ${target})
    message(STATUS "nullm: ${name} is not installed, fetching ${tag}")
    include(FetchContent)
    # SOURCE_SUBDIR names nothing, so that MakeAvailable only fetches: its add_subdirectory could not leave out the
    # dependency's own install rules before CMake 3.28.
    FetchContent_Declare(${name} GIT_REPOSITORY ${repository} GIT_TAG ${tag} GIT_SHALLOW ON SOURCE_SUBDIR fetched-only)
    FetchContent_MakeAvailable(${name})
    if(NOT TARGET ${target})  # it is there if the including project declared it first, in its own way
      string(TOLOWER ${name} _fetched)
      add_subdirectory(${${_fetched}_SOURCE_DIR} ${${_fetched}_BINARY_DIR} EXCLUDE_FROM_ALL)
    endif()
  endif()
endmacro()

# nullm_make_global(target): CMAKE_FIND_PACKAGE_TARGETS_GLOBAL for CMake before 3.24. Leaves alone what the including
# project found itself, and what is built here.
function(nullm_make_global target)
  get_target_property(imported ${target} IMPORTED)
  get_directory_property(found_here IMPORTED_TARGETS)
  if(imported AND target IN_LIST found_here)
    set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL ON)
  endif()
endfunction()
