# The library as others use it: installed, moved, added, fetched, packaged. Not in sanitizer builds: consumers see none
# of our flags, so that the test would be the same.
if(NOT NULLM_SANITIZE)
  add_test(NAME consumer COMMAND sh ${PROJECT_SOURCE_DIR}/tests/consumer/run.sh ${CMAKE_CXX_COMPILER}
                                 ${CMAKE_CURRENT_BINARY_DIR}/consumer)
  # 77: NULLM_ISA forces the kernels that this test wants chosen.
  set_tests_properties(consumer PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900 COST 60)
endif()
