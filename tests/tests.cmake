# Tests are found by their names:
#   test_NAME.c    a CUnit executable                                        labels unit, threads
#   secret_NAME.c  an executable run under valgrind, which reports every branch and
#                  address that depends on memory the test marked as secret             label valgrind
#   mpi_NAME.c     an executable run as two MPI ranks                                   label mpi
#   cli_NAME.sh    a bash script; TWAIN is the binary, SOURCE_DIR the source folder,
#                  the working folder fresh and removed afterwards                      label cli
#   preload_NAME.c a library that a cli test loads before a party's others; TWAIN_PRELOAD is their folder
#   gpu_NAME.c     an executable that needs a GPU to run; built with CUDA, by the CMakeLists.txt above
#   tool_NAME.c    an executable that a script of tools/ asks; no test
#   any other .c   code that tests share
# A test has five minutes, ten under the sanitizers: a machine with other work may take five times as long as an
# idle one. A name that ends in _slow also gets the label slow and ten minutes.
enable_testing()
pkg_check_modules(CUNIT REQUIRED IMPORTED_TARGET cunit)
find_program(VALGRIND valgrind)

# Two parties on any machine: as root, in a container, on a single core, without ssh.
set(mpi_environment
    OMPI_ALLOW_RUN_AS_ROOT=1
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    OMPI_MCA_rmaps_base_oversubscribe=1
    OMPI_MCA_hwloc_base_binding_policy=none
    OMPI_MCA_btl_vader_single_copy_mechanism=none
    OMPI_MCA_plm=isolated
    PMIX_MCA_gds=hash)
# MPI and what it loads keep memory until the process ends: leaks are looked for in the unit tests only.
set(no_leak_check ASAN_OPTIONS=detect_leaks=0)

file(GLOB shared_sources CONFIGURE_DEPENDS tests/*/*.c)
list(FILTER shared_sources EXCLUDE REGEX "/(test|secret|mpi|gpu|preload|tool)_[^/]*$|/fuzz/")
if(shared_sources)
  add_library(twain_testing STATIC ${shared_sources})
  target_link_libraries(twain_testing PUBLIC twain_jobs PkgConfig::CUNIT)
endif()

function(twain_test_executable name source)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE $<TARGET_NAME_IF_EXISTS:twain_testing> twain_jobs PkgConfig::CUNIT)
  target_compile_definitions(${name} PRIVATE TWAIN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
endfunction()

file(GLOB tool_sources CONFIGURE_DEPENDS tests/*/tool_*.c)
foreach(source IN LISTS tool_sources)
  get_filename_component(name ${source} NAME_WE)
  twain_test_executable(${name} ${source})
endforeach()

# twain_register(NAME LABEL ENVIRONMENT... ): labels, time limit and environment of a test made by add_test.
function(twain_register name label)
  set(labels ${label})
  set(timeout 300)
  if(TWAIN_SANITIZE OR TWAIN_TSAN)
    set(timeout 600)
  endif()
  if(name MATCHES "_slow$")
    list(APPEND labels slow)
    set(timeout 600)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout} ENVIRONMENT "${ARGN}")
endfunction()

# Tests of code that runs in several threads: under ThreadSanitizer, too (preset tsan). That does not know MPI.
set(threaded test_chain_blocks test_channel test_engine_chains test_halves_counters test_handshake test_inputs
    test_key_feed test_library test_live_keys test_link test_opens test_opens_faults test_opens_flight test_relay
    test_side_by_side test_slots test_stream
    test_striped test_tls test_tls_refused test_trace test_waves)

file(GLOB unit_sources CONFIGURE_DEPENDS tests/*/test_*.c)
foreach(source IN LISTS unit_sources)
  get_filename_component(name ${source} NAME_WE)
  twain_test_executable(${name} ${source})
  add_test(NAME ${name} COMMAND ${name})
  twain_register(${name} unit)
  if(name IN_LIST threaded)
    set_property(TEST ${name} APPEND PROPERTY LABELS threads)
    list(REMOVE_ITEM threaded ${name})
    list(APPEND thread_tests ${name})
  endif()
  # CUnit's summary: a suite that was not set up, or no test that ran, whatever the exit code (tests/common/suite.h) says
  set_tests_properties(${name} PROPERTIES FAIL_REGULAR_EXPRESSION
    " suites +[0-9]+ +[0-9]+ +n/a +[1-9];  tests +[0-9]+ +0 ")
  list(APPEND unit_tests ${name})
endforeach()
# by its header alone; its own copy of the rest stays inside
target_link_libraries(test_library PRIVATE libtwain)
add_custom_target(unit_tests DEPENDS ${unit_tests})
add_custom_target(thread_tests DEPENDS ${thread_tests})
if(threaded)
  message(FATAL_ERROR "there are no such tests to run under ThreadSanitizer: ${threaded}")
endif()

file(GLOB secret_sources CONFIGURE_DEPENDS tests/*/secret_*.c)
if(VALGRIND AND NOT TWAIN_SANITIZE AND NOT TWAIN_TSAN)  # the sanitizers and valgrind exclude each other
  foreach(source IN LISTS secret_sources)
    get_filename_component(name ${source} NAME_WE)
    twain_test_executable(${name} ${source})
    add_test(NAME ${name} COMMAND ${VALGRIND} --quiet --error-exitcode=1 --track-origins=yes $<TARGET_FILE:${name}>)
    twain_register(${name} valgrind)
  endforeach()
elseif(secret_sources AND NOT TWAIN_SANITIZE AND NOT TWAIN_TSAN)
  message(WARNING "valgrind is missing: the constant-time tests (tests/*/secret_*.c) are left out")
endif()

file(GLOB mpi_sources CONFIGURE_DEPENDS tests/*/mpi_*.c)
foreach(source IN LISTS mpi_sources)
  get_filename_component(name ${source} NAME_WE)
  twain_test_executable(${name} ${source})
  add_test(NAME ${name} COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} 2 $<TARGET_FILE:${name}>)
  twain_register(${name} mpi ${mpi_environment} ${no_leak_check})
  set_tests_properties(${name} PROPERTIES PROCESSORS 2)
endforeach()

file(GLOB preload_sources CONFIGURE_DEPENDS tests/*/preload_*.c)
if(NOT TWAIN_SANITIZE AND NOT TWAIN_TSAN)  # whose own library must come first
  foreach(source IN LISTS preload_sources)
    get_filename_component(name ${source} NAME_WE)
    add_library(${name} MODULE ${source} comm/opens_header.c base/status.c)
    set_target_properties(${name} PROPERTIES C_VISIBILITY_PRESET default)  # its functions stand before others
    target_link_libraries(${name} PRIVATE twain_flags MPI::MPI_C PkgConfig::ISAL PkgConfig::SODIUM ${CMAKE_DL_LIBS})
    set_target_properties(${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/preload)
  endforeach()
endif()

# These mostly wait for time limits and for Slurm: another test may run beside one.
set(waiting cli_faults_slow cli_lying_peer_slow cli_silent_peer cli_slurm_jobs cli_time_limit cli_two_sites_faults_slow)

file(GLOB cli_sources CONFIGURE_DEPENDS tests/cli/cli_*.sh)
if(TARGET twain)
  foreach(source IN LISTS cli_sources)
    get_filename_component(name ${source} NAME_WE)
    add_test(NAME ${name} COMMAND bash -c
      "folder=$(mktemp -d) && trap 'rm -rf \"$folder\"' EXIT && cd \"$folder\" && bash \"$1\"" cli ${source})
    twain_register(${name} cli ${mpi_environment} ${no_leak_check} TWAIN=$<TARGET_FILE:twain>
      SOURCE_DIR=${CMAKE_SOURCE_DIR} TWAIN_PRELOAD=${CMAKE_BINARY_DIR}/preload TWAIN_BUILD=${CMAKE_BINARY_DIR})
    set_tests_properties(${name} PROPERTIES PROCESSORS 2 SKIP_RETURN_CODE 77)
    if(name IN_LIST waiting)
      set_tests_properties(${name} PROPERTIES PROCESSORS 1)
    endif()
  endforeach()
endif()

if(TWAIN_FUZZ)
  include(tests/fuzz/fuzz.cmake)
endif()
