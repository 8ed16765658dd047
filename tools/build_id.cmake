# Writes which commit is built to OUT, a C header: run by every build, and touched only when it changes. Outside a git
# repository the commit is "unknown" and nothing is said of changes (-1).    cmake -DSOURCE=DIR -DOUT=FILE -P build_id.cmake
set(commit unknown)
set(dirty -1)
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE}/.git)
  execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse HEAD OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE
                  RESULT_VARIABLE failed ERROR_QUIET)
  execute_process(COMMAND ${GIT} -C ${SOURCE} diff-index --name-only HEAD -- OUTPUT_VARIABLE changes
                  RESULT_VARIABLE unread ERROR_QUIET)
  if(NOT failed AND NOT unread)
    set(commit ${found})
    set(dirty 0)
    if(changes)
      set(dirty 1)
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define TWAIN_COMMIT \"${commit}\"\n#define TWAIN_DIRTY ${dirty}\n" @ONLY)
