// `fettle data dedupe --near` with 512 bytes to sort in, so that a few rows are sorted on the disk: for tests of faults.
#include <cstdio>
#include <exception>

#include "base/scarce.h"
#include "data/passes/dedupe.h"

__attribute__((constructor(101))) static void before_all() { fettle::end_tidily_without_memory(); }

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    fettle::data::DedupeOptions options;
    options.near = true;
    options.sort_memory = 512;
    fettle::data::dedupe_rows({{argv[1]}, argv[2], {}}, options);
  } catch (const std::bad_alloc&) {
    std::fputs("error: out of memory\n", stderr);
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
