# libFuzzer targets: readers of files and messages, under AddressSanitizer and UndefinedBehaviorSanitizer. Each runs ten
# seconds from its own seeds (label fuzz); tools/fuzz.sh runs them longer.
add_library(twain_fuzzing STATIC tests/fuzz/fuzz.c)
target_link_libraries(twain_fuzzing PUBLIC twain_testing twain_jobs)

# twain_fuzz_target(NAME SOURCES... ): fuzz_NAME
function(twain_fuzz_target name)
  add_executable(fuzz_${name} ${ARGN})
  target_link_libraries(fuzz_${name} PRIVATE twain_fuzzing)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  add_test(NAME fuzz_${name} COMMAND ${CMAKE_SOURCE_DIR}/tools/fuzz.sh --seconds 10 $<TARGET_FILE:fuzz_${name}>)
  twain_register(fuzz_${name} fuzz)
  set_property(GLOBAL APPEND PROPERTY twain_fuzz_targets fuzz_${name})
endfunction()

foreach(name IN ITEMS safetensors config tokenizer json_tokenizer sentencepiece chat plan messages sealed)
  twain_fuzz_target(${name} tests/fuzz/fuzz_${name}.c)
endforeach()
# by tests/common/samples.h's kinds, and key files
foreach(kind IN ITEMS model model_share dealer client input input_share result_share result cache sample_kinds)
  set(name ${kind})
  if(kind STREQUAL sample_kinds)
    set(name keys)
  endif()
  string(TOUPPER ${kind} constant)
  twain_fuzz_target(h5_${name} tests/fuzz/fuzz_h5.c tests/fuzz/h5_edit.c)
  target_compile_definitions(fuzz_h5_${name} PRIVATE KIND=${constant})
endforeach()
get_property(targets GLOBAL PROPERTY twain_fuzz_targets)
add_custom_target(fuzz_targets DEPENDS ${targets})
