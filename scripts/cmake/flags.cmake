# One interface target carries the flags of every longhaul target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

add_library(longhaul_flags INTERFACE)
target_compile_features(longhaul_flags INTERFACE cxx_std_20)
target_include_directories(longhaul_flags INTERFACE "${CMAKE_SOURCE_DIR}/lib" "${CMAKE_SOURCE_DIR}")
# -Wrestrict: g++ 12 reports string concatenations that are fine (GCC PR 105651).
set(longhaul_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND longhaul_warnings -Wno-restrict)
endif()
target_compile_options(longhaul_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:${longhaul_warnings}>"
  # Paths relative to the source tree, so that a compiler cache serves every clone.
  "$<$<COMPILE_LANGUAGE:CXX>:-ffile-prefix-map=${CMAKE_SOURCE_DIR}=.>")
if(LONGHAUL_SANITIZE)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # With sanitizers g++ 12 sees uninitialised members in std::optional that are not there.
    target_compile_options(longhaul_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>")
  endif()
  target_compile_options(longhaul_flags INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${LONGHAUL_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>")
  target_link_options(longhaul_flags INTERFACE "-fsanitize=${LONGHAUL_SANITIZE}")
endif()
