#include <nullm/measure/rapl.hpp>

#include <fstream>
#include <io/scratch_directory.hpp>
#include <string>
#include <support/catch.hpp>

namespace {

/// A tree as Linux shows it under /sys/class/powercap.
class fake_powercap {
 public:
    void zone(const std::string& folder, const std::string& name, const std::string& microjoules,
              const std::string& range = "262143328850") {
        std::filesystem::create_directories(root() / folder);
        write(folder + "/name", name);
        write(folder + "/max_energy_range_uj", range);
        write(folder + "/energy_uj", microjoules);
    }
    void write(const std::string& file, const std::string& line) {
        std::ofstream(root() / file) << line << '\n';
    }
    const std::filesystem::path& root() const { return directory_.path(); }

 private:
    support::scratch_directory directory_;
};

}  // namespace

TEST_CASE("the energy of all packages and of their memory adds up", "[measure][rapl]") {
    fake_powercap fake;
    fake.zone("intel-rapl:0", "package-0", "1000000");
    fake.zone("intel-rapl:0/intel-rapl:0:0", "dram", "500000");
    fake.zone("intel-rapl:1", "package-1", "0");
    nullm::rapl_meter meter(fake.root());
    REQUIRE(meter.readable());
    CHECK(meter.consumed().joules == 0.0);
    fake.write("intel-rapl:0/energy_uj", "3000000");
    fake.write("intel-rapl:0/intel-rapl:0:0/energy_uj", "750000");
    fake.write("intel-rapl:1/energy_uj", "4");
    CHECK(meter.consumed().joules == Approx(2.250004));
    CHECK(meter.consumed().joules == Approx(2.250004));
    CHECK_FALSE(meter.consumed().estimated);
}

TEST_CASE("what a package or psys already counts is not counted twice", "[measure][rapl]") {
    fake_powercap fake;
    fake.zone("intel-rapl:0", "package-0", "0");
    fake.zone("intel-rapl:0/intel-rapl:0:0", "core", "0");
    fake.zone("intel-rapl:0/intel-rapl:0:1", "uncore", "0");
    fake.zone("intel-rapl:0:0", "core", "0");  // Linux links a package's parts beside it, too
    fake.zone("intel-rapl:1", "psys", "0");
    fake.zone("intel-rapl-mmio:0", "package-0", "0");
    nullm::rapl_meter meter(fake.root());
    for (const char* zone : {"intel-rapl:0", "intel-rapl:0/intel-rapl:0:0", "intel-rapl:0/intel-rapl:0:1",
                             "intel-rapl:0:0", "intel-rapl:1", "intel-rapl-mmio:0"}) {
        fake.write(std::string(zone) + "/energy_uj", "7000000");
    }
    CHECK(meter.consumed().joules == Approx(7));
}

TEST_CASE("a counter that wraps around goes on", "[measure][rapl]") {
    fake_powercap fake;
    fake.zone("intel-rapl:0", "package-0", "9000000", "10000000");
    nullm::rapl_meter meter(fake.root());
    fake.write("intel-rapl:0/energy_uj", "500000");
    CHECK(meter.consumed().joules == Approx(1.5));
    fake.write("intel-rapl:0/energy_uj", "400000");
    CHECK(meter.consumed().joules == Approx(1.5 + 9.9));
}

TEST_CASE("without counters, or without the right to read them, there is nothing to read",
          "[measure][rapl]") {
    fake_powercap fake;
    CHECK_FALSE(nullm::rapl_meter(fake.root() / "none").readable());
    CHECK_FALSE(nullm::rapl_meter(fake.root()).readable());
    CHECK(nullm::rapl_meter(fake.root()).consumed().joules == 0.0);
    fake.zone("intel-rapl:0", "package-0", "");  // reads as empty, as an unreadable one does
    CHECK_FALSE(nullm::rapl_meter(fake.root()).readable());
}

TEST_CASE("a counter that can no longer be read stands still", "[measure][rapl]") {
    fake_powercap fake;
    fake.zone("intel-rapl:0", "package-0", "1000000");
    nullm::rapl_meter meter(fake.root());
    fake.write("intel-rapl:0/energy_uj", "2000000");
    CHECK(meter.consumed().joules == Approx(1));
    fake.write("intel-rapl:0/energy_uj", "");
    CHECK(meter.consumed().joules == Approx(1));
    fake.write("intel-rapl:0/energy_uj", "2500000");
    CHECK(meter.consumed().joules == Approx(1.5));
}
