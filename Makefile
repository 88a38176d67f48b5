# Wraps the CMake presets; nothing is decided here that CMake should know.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
CMAKE_FLAGS ?= $(if $(shell command -v ccache 2>/dev/null),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)

.PHONY: build demo test test-asan bench format install dependencies clean

dependencies:
	@scripts/install_dependencies

build: dependencies
	@cmake --preset release $(CMAKE_FLAGS) >/dev/null
	@cmake --build --preset release -j $(JOBS)

demo: build
	@scripts/demo

test: build
	@ctest --preset release

test-asan: dependencies
	@cmake --preset asan $(CMAKE_FLAGS) >/dev/null
	@cmake --build --preset asan -j $(JOBS) --target fast_tests
	@ctest --preset asan

bench: build
	@scripts/bench

format:
	@git ls-files '*.h' '*.cpp' '*.cu' | xargs clang-format -i

install: build
	@cmake --install build --prefix $(PREFIX)

clean:
	@cmake -E rm -rf build build-asan build-debug build-fuzz
