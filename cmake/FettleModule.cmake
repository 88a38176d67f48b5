# fettle_module(NAME SOURCES … TESTS … FUZZ … DEPENDS … LIBRARIES … [SLOW_TESTS …] [THREADED …] [ALONE …])
#   makes the static library fettle_NAME from SOURCES, one test program NAME_test from TESTS (ctest label "fast"),
#   NAME_slow_test from SLOW_TESTS (label "slow"), and a libFuzzer program per file in FUZZ. Under the thread sanitizer there are only
#   NAME_test programs, of those among TESTS that THREADED names. The sanitizer and fuzz builds join files
#   to compile sooner; those in ALONE have private names that a neighbour has too, and are not joined.
#   DEPENDS names other modules, LIBRARIES outside libraries.
function(fettle_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Werror -Wno-unused-parameter -Wno-missing-field-initializers)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12 reports these inside the standard library's own templates at -O2 and under the sanitizers.
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-stringop-overread
                                             -Wno-array-bounds -Wno-restrict -Wno-nonnull -Wno-dangling-pointer -Wno-psabi)
  endif()
  if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # In a joined file every part counts as an included one, whose private types GCC expects to be shared.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
  if(FETTLE_SANITIZE)
    # Checks of every pointer double the time to compile; the address sanitizer sees what they are about, and the fuzz build has them.
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize=null,vptr,object-size,pointer-overflow,alignment
                                             -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g1)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  endif()
  if(FETTLE_TSAN)
    target_compile_options(${target} PRIVATE -fsanitize=thread -fno-omit-frame-pointer -O1 -g1)
    target_link_options(${target} PRIVATE -fsanitize=thread)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${target} PRIVATE -Wno-tsan)  # fences in the standard library, which it cannot follow
    endif()
  endif()
  if(FETTLE_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -O1 -g1)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  endif()
endfunction()

# The headers that most files include, compiled once: parsing them is most of the time a file takes. Sources still include
# what they use. The kernels have their own optimisation level and do without.
set(FETTLE_COMMON_HEADERS <algorithm> <array> <atomic> <chrono> <cmath> <cstdint> <cstring> <deque> <filesystem> <functional> <map> <memory>
                          <mutex> <optional> <set> <span> <string> <string_view> <thread> <unordered_map> <vector> <fmt/format.h> <nlohmann/json.hpp>)

# fettle_precompiled(TARGET OWNER HEADERS…): OWNER compiles HEADERS, every other target uses what it made.
function(fettle_precompiled target owner)
  if(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

function(fettle_test target label)
  add_executable(${target} ${ARGN})
  fettle_warnings(${target})
  fettle_precompiled(${target} base_test ${FETTLE_COMMON_HEADERS} <gtest/gtest.h>)
  target_compile_definitions(${target} PRIVATE FETTLE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${target} COMMAND ${target} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${target} PROPERTIES LABELS ${label} TIMEOUT 900 ENVIRONMENT GOMP_SPINCOUNT=1000)
  if(NOT TARGET ${label}_tests)
    add_custom_target(${label}_tests)  # every test program of this label and nothing else
  endif()
  add_dependencies(${label}_tests ${target})
endfunction()

function(fettle_module name)
  cmake_parse_arguments(M "" "" "SOURCES;TESTS;SLOW_TESTS;THREADED;FUZZ;ALONE;DEPENDS;LIBRARIES" ${ARGN})
  set(library fettle_${name})
  add_library(${library} STATIC ${M_SOURCES})
  target_include_directories(${library} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  fettle_warnings(${library})
  set_source_files_properties(${M_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  if(NOT name STREQUAL "kernels")
    fettle_precompiled(${library} fettle_base ${FETTLE_COMMON_HEADERS})
  endif()
  list(TRANSFORM M_DEPENDS PREPEND fettle_)
  target_link_libraries(${library} PUBLIC ${M_DEPENDS} ${M_LIBRARIES})
  if(FETTLE_FUZZ)
    if(NOT TARGET fuzz)
      add_custom_target(fuzz)  # every fuzz program and nothing else
    endif()
    foreach(source ${M_FUZZ})
      get_filename_component(program ${source} NAME_WE)
      add_executable(${program} ${source})
      fettle_warnings(${program})
      target_link_options(${program} PRIVATE -fsanitize=fuzzer)
      target_compile_definitions(${program} PRIVATE FETTLE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
      target_link_libraries(${program} PRIVATE ${library})
      add_dependencies(fuzz ${program})
    endforeach()
    return()
  endif()
  if(FETTLE_TSAN)
    set(M_TESTS ${M_THREADED})
    set(M_SLOW_TESTS "")
  endif()
  if(M_TESTS)
    fettle_test(${name}_test fast ${M_TESTS})
    target_link_libraries(${name}_test PRIVATE ${library} GTest::gtest GTest::gtest_main)
  endif()
  if(M_SLOW_TESTS)
    fettle_test(${name}_slow_test slow ${M_SLOW_TESTS})
    target_link_libraries(${name}_slow_test PRIVATE ${library} GTest::gtest GTest::gtest_main)
  endif()
endfunction()
