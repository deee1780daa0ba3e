# Every header compiles alone: one translation unit each.
file(GLOB_RECURSE _headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/include/nullm/*.hpp)
list(FILTER _headers EXCLUDE REGEX "(foreach_isa|for_vnni).hpp")  # multiple-inclusion helpers, not headers of their own
set(_units)
foreach(_header ${_headers})
  string(REPLACE "/" "_" _name ${_header})
  set(_unit ${CMAKE_CURRENT_BINARY_DIR}/headers/${_name}.cpp)
  file(CONFIGURE OUTPUT ${_unit} CONTENT "#include <${_header}>\n#include <${_header}>\n" @ONLY)
  list(APPEND _units ${_unit})
endforeach()
add_library(nullm_header_tests OBJECT ${_units})
target_link_libraries(nullm_header_tests PRIVATE nullm_dev Eigen3::Eigen)
nullm_check_only(nullm_header_tests)
