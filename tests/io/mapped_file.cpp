#include "refusal.hpp"
#include "scratch_directory.hpp"

#include <sys/stat.h>
#include <nullm/io/mapped_file.hpp>
#include <support/catch.hpp>

using support::contains;
using support::refusal;

TEST_CASE("a mapped file shows the bytes of the file and survives a move", "[io]") {
    const support::scratch_directory directory;
    const std::string text = "GGUF or not";
    const auto path = directory.write("file", std::as_bytes(std::span(text)));
    nullm::mapped_file file(path);
    const auto first = file.bytes().data();
    const nullm::mapped_file moved = std::move(file);
    REQUIRE(moved.bytes().data() == first);
    REQUIRE(std::string(reinterpret_cast<const char*>(moved.bytes().data()), moved.bytes().size()) == text);
    nullm::mapped_file other(path);
    other = nullm::mapped_file(path);
    REQUIRE(other.bytes().size() == text.size());
}

TEST_CASE("what cannot be mapped is refused with a sentence", "[io]") {
    const support::scratch_directory directory;
    const auto open = [](const std::filesystem::path& path) {
        return refusal([&] { const nullm::mapped_file file(path); });
    };
    REQUIRE(contains(open(directory.path()), "expected a file, found a directory"));
    REQUIRE(
        contains(open(directory.write("empty", {})), "expected a file with content, found an empty file"));
    REQUIRE(contains(open(directory.path() / "absent"), "No such file or directory"));
    REQUIRE(contains(open("/dev/null"), "expected a regular file"));
    const auto pipe = directory.path() / "pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    REQUIRE(contains(open(pipe), "expected a regular file"));  // and does not wait for a writer
}
