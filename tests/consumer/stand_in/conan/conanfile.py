# Stands in for Conan Center's nlohmann_json where nothing can be fetched: the headers in $NULLM_JSON_INCLUDE.
import os

from conan import ConanFile
from conan.tools.files import copy


class StandIn(ConanFile):
    name = "nlohmann_json"
    version = "3.11.2"
    package_type = "header-library"

    def package(self):
        copy(self, "nlohmann/*", os.environ["NULLM_JSON_INCLUDE"], os.path.join(self.package_folder, "include"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "nlohmann_json")
        self.cpp_info.set_property("cmake_target_name", "nlohmann_json::nlohmann_json")
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
