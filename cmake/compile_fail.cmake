# A wrong program must fail with the library's own sentence. Each file in tests/compile_fail/ carries it in a line
# "// expect: REGEX"; the test passes only if the compiler prints it.
file(GLOB _cases CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/compile_fail/*.cpp)
foreach(_case ${_cases})
  get_filename_component(_name ${_case} NAME_WE)
  file(STRINGS ${_case} _line REGEX "^// expect: " LIMIT_COUNT 1)
  string(REGEX REPLACE "^// expect: " "" _expected "${_line}")
  if(_expected STREQUAL "")
    message(FATAL_ERROR "${_case} has no line '// expect: ...'")
  endif()
  add_test(NAME compile_fail.${_name}
           COMMAND ${CMAKE_CXX_COMPILER} -std=c++20 -fsyntax-only -I${PROJECT_SOURCE_DIR}/include ${_case})
  set_tests_properties(compile_fail.${_name} PROPERTIES PASS_REGULAR_EXPRESSION "${_expected}")
endforeach()
