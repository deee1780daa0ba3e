# Flags for this project's own programs; consumers never see them.
option(NULLM_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)

add_library(nullm_dev INTERFACE)
target_link_libraries(nullm_dev INTERFACE nullm::nullm)
target_compile_options(nullm_dev INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror)
if(NULLM_SANITIZE)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 sees uninitialised reads in Catch2 2 when it instruments it, and takes minutes and gigabytes to follow
    # the variables of instrumented kernels for the debugger.
    target_compile_options(nullm_dev INTERFACE -Wno-maybe-uninitialized -fno-var-tracking)
  endif()
  # Traps, not reports: a test that trips UBSan must fail, not print and pass.
  target_compile_options(nullm_dev INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer)
  target_link_options(nullm_dev INTERFACE -fsanitize=address,undefined)
endif()
