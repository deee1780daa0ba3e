#include "refusal.hpp"
#include "safetensors_parts.hpp"
#include "scratch_directory.hpp"

#include <nullm/io/atomic_file.hpp>
#include <support/catch.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <csignal>

using support::bytes_of_file;
using support::contains;
using support::refusal;

namespace {

std::size_t files_in(const std::filesystem::path& directory) {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++n;
    return n;
}

/// No file of this process may grow beyond `bytes` while it lives: a disk that is full, for tests.
class size_limit {
 public:
    explicit size_limit(rlim_t bytes) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit lower{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &lower);
    }
    size_limit(const size_limit&) = delete;
    ~size_limit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("a file appears when it is committed, and replaces the older one", "[io]") {
    const support::scratch_directory directory;
    const auto path = directory.path() / "out";
    for (const char* text : {"first", "second"}) {
        nullm::atomic_file file(path);
        file.write(std::string_view(text).substr(0, 2));
        file.write(std::string_view(text).substr(2));
        const bool seen = std::filesystem::exists(path) &&
                          bytes_of_file(path.string()).size() == std::string_view(text).size();
        CHECK_FALSE(seen);
        file.commit();
        CHECK(bytes_of_file(path.string()).size() == std::string_view(text).size());
        CHECK(files_in(directory.path()) == 1);
    }
}

TEST_CASE("a file that is not committed never was", "[io]") {
    const support::scratch_directory directory;
    {
        nullm::atomic_file file(directory.path() / "out");
        file.write("half");
        CHECK(files_in(directory.path()) == 1);
    }
    CHECK(files_in(directory.path()) == 0);
}

TEST_CASE("a full disk is one clear sentence, and leaves the older file", "[io]") {
    const support::scratch_directory directory;
    const auto path = directory.write("out", std::vector<std::byte>(3));
    const auto before = std::signal(SIGXFSZ, SIG_IGN);
    const std::string said = refusal([&] {
        const size_limit full(4096);
        nullm::atomic_file file(path);
        file.write(std::string(1 << 20, 'x'));
        file.commit();
    });
    std::signal(SIGXFSZ, before);
    CHECK(said == path.string() + ": expected room for " + std::to_string((1 << 20) - 4096) +
                      " more bytes, found \"File too large\"");
    CHECK(bytes_of_file(path.string()).size() == 3);
    CHECK(files_in(directory.path()) == 1);
}

TEST_CASE("a file whose writing failed cannot be put in place", "[io]") {
    const support::scratch_directory directory;
    const auto path = directory.write("out", std::vector<std::byte>(3));
    const auto before = std::signal(SIGXFSZ, SIG_IGN);
    {
        nullm::atomic_file file(path);
        {
            const size_limit full(4096);
            CHECK_THROWS_AS(file.write(std::string(10000, 'x')), nullm::error);
        }
        CHECK_THROWS_AS(file.commit(), nullm::error);
    }
    std::signal(SIGXFSZ, before);
    CHECK(bytes_of_file(path.string()).size() == 3);
    CHECK(files_in(directory.path()) == 1);
}

TEST_CASE("a replaced file stays as private as it was, and a link stays a link", "[io]") {
    static_assert(!std::is_copy_assignable_v<nullm::atomic_file> &&
                  !std::is_copy_constructible_v<nullm::atomic_file>);
    const support::scratch_directory directory;
    const auto path = directory.write("out", std::vector<std::byte>(3));
    const auto link = directory.path() / "link";
    std::filesystem::permissions(path,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    std::filesystem::create_symlink(path, link);
    nullm::atomic_file file(link);
    file.write("four");
    file.commit();
    CHECK(std::filesystem::is_symlink(link));
    CHECK(bytes_of_file(path.string()).size() == 4);
    CHECK(std::filesystem::status(path).permissions() ==
          (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}

TEST_CASE("a writer that is killed leaves no output", "[io]") {
    const support::scratch_directory directory;
    const auto path = directory.path() / "out";
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // SIGXFSZ ends it in the middle of write()
        std::signal(SIGXFSZ, SIG_DFL);
        const size_limit full(4096);
        nullm::atomic_file file(path);
        for (int i = 0; i < 10; ++i) file.write(std::string(1000, 'x'));
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK_FALSE(std::filesystem::exists(path));
    nullm::atomic_file again(path);  // what it left behind is in nobody's way
    again.write("whole");
    again.commit();
    CHECK(bytes_of_file(path.string()).size() == 5);
}

TEST_CASE("what is no file, or in no directory, is refused", "[io]") {
    const support::scratch_directory directory;
    CHECK(contains(refusal([&] { nullm::atomic_file(directory.path()); }),
                   "expected a file to write, found a directory"));
    CHECK(contains(refusal([] { nullm::atomic_file("/dev/null"); }), "found a device"));
    CHECK(contains(refusal([&] { nullm::atomic_file(directory.path() / "no" / "out"); }),
                   "No such file or directory"));
}
