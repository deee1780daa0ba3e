# cmake --install: headers, licence, find_package(nullm) and pkg-config. The prefix may be moved afterwards.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# share/, not lib/: nothing here depends on the architecture.
set(NULLM_INSTALL_CMAKEDIR ${CMAKE_INSTALL_DATADIR}/cmake/nullm CACHE STRING "Where nullmConfig.cmake is installed")
set(_pkgconfig ${CMAKE_INSTALL_DATADIR}/pkgconfig)
target_include_directories(nullm INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/nullm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN *.hpp PATTERN *.inl)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(TARGETS nullm EXPORT nullm)
install(EXPORT nullm NAMESPACE nullm:: FILE nullmTargets.cmake DESTINATION ${NULLM_INSTALL_CMAKEDIR})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/nullmConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/nullmConfig.cmake INSTALL_DESTINATION ${NULLM_INSTALL_CMAKEDIR}
                              NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# While the major version is 0, a minor one may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/nullmConfigVersion.cmake COMPATIBILITY SameMinorVersion
                                 ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/nullmConfig.cmake ${PROJECT_BINARY_DIR}/nullmConfigVersion.cmake
        DESTINATION ${NULLM_INSTALL_CMAKEDIR})

# nullm.pc finds its headers from where it lies, unless the folders were given as absolute paths.
if(IS_ABSOLUTE "${_pkgconfig}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(_pc_prefix ${CMAKE_INSTALL_PREFIX})
  set(_pc_includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
else()
  file(RELATIVE_PATH _up /${_pkgconfig} /)
  string(REGEX REPLACE "/$" "" _up "${_up}")
  set(_pc_prefix "\${pcfiledir}/${_up}")
  set(_pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/nullm.pc.in ${PROJECT_BINARY_DIR}/nullm.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/nullm.pc DESTINATION ${_pkgconfig})

if(NULLM_INSTALL_PROGRAMS)
  if(NOT NULLM_BUILD_EXAMPLES)
    message(FATAL_ERROR "nullm: NULLM_INSTALL_PROGRAMS needs NULLM_BUILD_EXAMPLES, which is off")
  endif()
  install(TARGETS nullm_generate nullm_read nullm_perplexity nullm_calibrate RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
