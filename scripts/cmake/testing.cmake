# Test registration. Labels: unit kernels ranks system gpu.
#   longhaul_add_test(name SOURCES a.cpp... [LIBS targets...] [LABEL unit] [TIMEOUT 60] [ARGS ...])
#       one process, GoogleTest's own main
#   longhaul_add_rank_test(name SOURCES a.cpp... [LIBS targets...] RANKS 1 2 3 ... [TIMEOUT 120])
#       one binary with the MPI main of tests/support, one ctest entry per rank count, run under mpirun
find_package(GTest REQUIRED)
find_package(Python3 COMPONENTS Interpreter)

function(longhaul_add_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;LIBS;ARGS;ENV" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE longhaul_flags GTest::gtest_main GTest::gmock ${ARG_LIBS})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests")
  if(ARG_LABEL STREQUAL "gpu")
    # Built where nothing can run it: ninja gpu_tests.
    if(NOT TARGET gpu_tests)
      add_custom_target(gpu_tests)
    endif()
    add_dependencies(gpu_tests ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT}
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" ENVIRONMENT "${ARG_ENV}")
  if(ARG_LABEL STREQUAL "gpu")
    set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "no GPU here")
  endif()
endfunction()

function(longhaul_add_rank_test name)
  if(LONGHAUL_SANITIZE)
    return()  # the loopback tests run the same code under sanitizers
  endif()
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBS;RANKS;ENV" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES} "${CMAKE_SOURCE_DIR}/tests/support/mpi_main.cpp")
  target_link_libraries(${name} PRIVATE longhaul_flags GTest::gtest GTest::gmock longhaul::comm ${ARG_LIBS})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests")
  foreach(ranks IN LISTS ARG_RANKS)
    add_test(NAME ${name}.${ranks} COMMAND mpirun -n ${ranks} --oversubscribe $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.${ranks} PROPERTIES LABELS ranks TIMEOUT ${ARG_TIMEOUT} PROCESSORS ${ranks}
      WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}"
      ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_NUM_THREADS=1;${ARG_ENV}")
  endforeach()
endfunction()
