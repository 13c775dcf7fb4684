# The commit is read at configure time; a build without git says "unknown".
find_package(Git QUIET)
set(WEIR_COMMIT "unknown")
if(GIT_FOUND)
  execute_process(COMMAND "${GIT_EXECUTABLE}" rev-parse --short=12 HEAD
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" OUTPUT_VARIABLE WEIR_COMMIT
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE WEIR_COMMIT_FAILED)
  if(WEIR_COMMIT_FAILED)
    set(WEIR_COMMIT "unknown")
  endif()
endif()
