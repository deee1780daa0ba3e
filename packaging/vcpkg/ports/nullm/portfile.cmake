# An overlay port that builds from the tree it lies in: vcpkg install nullm --overlay-ports=<tree>/packaging/vcpkg/ports
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../../.." ABSOLUTE)

# Headers only: there is no debug variant.
set(VCPKG_BUILD_TYPE release)
vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        -DNULLM_INSTALL=ON
        -DNULLM_INSTALL_CMAKEDIR=share/${PORT}
        -DNULLM_BUILD_TESTS=OFF
        -DNULLM_BUILD_EXAMPLES=OFF
        -DNULLM_BUILD_BENCHMARKS=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup()
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
file(INSTALL "${CURRENT_PORT_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
