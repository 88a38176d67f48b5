# Wraps the CMake presets; nothing is decided here that CMake should know.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
CMAKE_FLAGS ?= $(if $(shell command -v ccache 2>/dev/null),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)

.DEFAULT_GOAL := build
.PHONY: configure build demo test test-asan test-tsan test-fuzz soak bench format install dependencies clean

dependencies:
	@scripts/install_dependencies

configure: dependencies
	@cmake --preset release $(CMAKE_FLAGS) >/dev/null

# The program alone; `make test` builds the tests too, `make bench` the benchmarks, `make install` the library.
build: configure
	@cmake --build --preset release -j $(JOBS) --target fettle_cli

demo: build
	@scripts/demo

test: configure
	@cmake --build --preset release -j $(JOBS)
	@ctest --preset release; status=$$?; scripts/skipped_tests build; exit $$status

test-asan: dependencies
	@cmake --preset asan $(CMAKE_FLAGS) >/dev/null
	@cmake --build --preset asan -j $(JOBS) --target fast_tests
	@ctest --preset asan

# The tests of threads under the thread sanitizer: a build of its own, of what they need.
test-tsan: dependencies
	@cmake --preset tsan $(CMAKE_FLAGS) >/dev/null
	@cmake --build --preset tsan -j $(JOBS) --target fast_tests
	@ctest --preset tsan

# Everything once more with clang, and every fuzzer on its seeds; `scripts/fuzz` runs them for longer.
test-fuzz: dependencies
	@scripts/install_dependencies scripts/dependencies-fuzz.txt
	@CMAKE_FLAGS='$(CMAKE_FLAGS)' FETTLE_FUZZ_JOBS=$(JOBS) FETTLE_FUZZ_AT_ONCE=$(JOBS) scripts/fuzz 0

# Every fault in every command, hundreds of kills, and an hour of hostile clients: about two hours.
soak: build
	@cmake --build --preset release -j $(JOBS) --target soak_programs
	@ctest --preset soak

bench: build
	@cmake --build --preset release -j $(JOBS) --target benchmarks
	@scripts/bench

format:
	@git ls-files '*.h' '*.cpp' '*.cu' | xargs clang-format -i

install: build
	@cmake --build --preset release -j $(JOBS) --target fettle_api
	@cmake --install build --prefix $(PREFIX)

clean:
	@cmake -E rm -rf build build-asan build-debug build-fuzz build-tsan
