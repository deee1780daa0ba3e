# Two objects built for different instruction sets must not share a weak symbol of ours: the linker would keep one,
# and a machine without those instructions would run it. tests/odr/share_nothing.sh compares what nm prints.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND EXISTS ${PROJECT_SOURCE_DIR}/tests/odr/everything.cpp)
  foreach(_march x86-64 x86-64-v3 x86-64-v4)
    add_library(nullm_odr_${_march} OBJECT ${PROJECT_SOURCE_DIR}/tests/odr/everything.cpp)
    target_link_libraries(nullm_odr_${_march} PRIVATE nullm::nullm)
    target_compile_options(nullm_odr_${_march} PRIVATE -O1 -march=${_march})
  endforeach()
  add_test(NAME odr.share_nothing
           COMMAND sh ${PROJECT_SOURCE_DIR}/tests/odr/share_nothing.sh ${CMAKE_NM} $<TARGET_OBJECTS:nullm_odr_x86-64>
                   $<TARGET_OBJECTS:nullm_odr_x86-64-v3> $<TARGET_OBJECTS:nullm_odr_x86-64-v4>)
endif()
