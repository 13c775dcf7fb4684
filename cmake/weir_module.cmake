# add_module(NAME DEPS ... [LIBS ...] [THREADED])
#
# One folder of src/ = one static library. Sources are every .cc of the folder, tests are every *_test.cc beside them.
# DEPS are other modules, written as their folder ("engine/tensor"); tools/check_layers.py holds them against the
# include law. LIBS are third-party targets, which only the folder that owns the library may name. THREADED marks tests in
# which threads meet: their second label is threads.

# Everything that `./test unit` and `./test threads` run, so that a sanitizer build need not compile the rest.
add_custom_target(unit_tests)
add_custom_target(threads_tests)

set(WEIR_WARNINGS -Wall -Wextra -Wshadow -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 at -O3 reports both inside inlined std::string and fmt code that is sound (its own bugs 105329 and 105651).
  list(APPEND WEIR_WARNINGS -Wno-restrict -Wno-stringop-overflow)
endif()

add_library(weir_options INTERFACE)
target_compile_options(weir_options INTERFACE ${WEIR_WARNINGS} -ffp-contract=off)
target_include_directories(weir_options INTERFACE "${CMAKE_SOURCE_DIR}/src")
if(WEIR_DCHECK)
  target_compile_definitions(weir_options INTERFACE WEIR_DCHECK_ON=1)
endif()
if(WEIR_SANITIZE)
  target_compile_options(weir_options INTERFACE -fsanitize=${WEIR_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(weir_options INTERFACE -fsanitize=${WEIR_SANITIZE})
  if(WEIR_SANITIZE MATCHES "undefined")
    target_compile_options(weir_options INTERFACE -fno-sanitize-recover=all)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # As shared libraries the two share the function that sets the report file, and only one of them has the file it sets.
      target_link_options(weir_options INTERFACE -static-libasan -static-libubsan)
    endif()
  endif()
  # What ctest starts each test with, so that a report in any process of the test fails it.
  set(CMAKE_CROSSCOMPILING_EMULATOR "${CMAKE_SOURCE_DIR}/tools/sanitized.sh")
endif()

# "engine/tensor" -> "weir_engine_tensor"
function(weir_target_name folder out)
  string(REPLACE "/" "_" name "${folder}")
  set(${out} "weir_${name}" PARENT_SCOPE)
endfunction()

function(add_module folder)
  cmake_parse_arguments(ARG "THREADED" "" "DEPS;LIBS" ${ARGN})
  weir_target_name("${folder}" target)
  file(GLOB sources CONFIGURE_DEPENDS "*.cc" "*.h")
  file(GLOB test_sources CONFIGURE_DEPENDS "*_test.cc")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  set(dep_targets "")
  foreach(dep IN LISTS ARG_DEPS)
    weir_target_name("${dep}" dep_target)
    list(APPEND dep_targets "${dep_target}")
  endforeach()
  set(has_source FALSE)
  foreach(source IN LISTS sources)
    if(source MATCHES "\\.cc$")
      set(has_source TRUE)
    endif()
  endforeach()
  if(has_source)
    add_library(${target} STATIC ${sources})
    target_link_libraries(${target} PUBLIC weir_options fmt::fmt Threads::Threads ${dep_targets} ${ARG_LIBS})
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE weir_options fmt::fmt Threads::Threads ${dep_targets} ${ARG_LIBS})
  endif()
  if(WEIR_BUILD_TESTS AND test_sources)
    set(threaded "")
    if(ARG_THREADED)
      set(threaded THREADED)
    endif()
    add_weir_test(${target}_test LABEL unit ${threaded} SOURCES ${test_sources} DEPS ${folder})
  endif()
endfunction()

# add_weir_test(NAME LABEL unit|integration|slow [THREADED] SOURCES ... DEPS folders ...): one GoogleTest binary, one ctest
# entry per TEST. Slow ones are built with WEIR_SLOW defined.
function(add_weir_test name)
  cmake_parse_arguments(ARG "THREADED" "LABEL;TIMEOUT" "SOURCES;DEPS;LIBS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(WEIR_SANITIZE)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")  # what a sanitizer makes slow is not stuck
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}")
  target_compile_definitions(${name} PRIVATE WEIR_SOURCE_DIR="${CMAKE_SOURCE_DIR}" WEIR_BINARY="${CMAKE_BINARY_DIR}/weir")
  foreach(dep IN LISTS ARG_DEPS)
    weir_target_name("${dep}" dep_target)
    target_link_libraries(${name} PRIVATE ${dep_target})
  endforeach()
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  if(ARG_LABEL STREQUAL "unit")
    add_dependencies(unit_tests ${name})
  endif()
  set(prefix "")
  if(ARG_LABEL STREQUAL "slow")
    target_compile_definitions(${name} PRIVATE WEIR_SLOW)
    set(prefix TEST_PREFIX slow.)  # the same tests as in another binary, with more to do
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 ${prefix}
    PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
  if(ARG_THREADED)
    add_dependencies(threads_tests ${name})
    # gtest_discover_tests() takes no list as a property's value, so the second label follows the discovery.
    set(labels_file "${CMAKE_CURRENT_BINARY_DIR}/${name}_labels.cmake")
    file(WRITE "${labels_file}"
      "set_tests_properties(\${${name}_TESTS} PROPERTIES LABELS \"${ARG_LABEL};threads\")\n")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${labels_file}")
  endif()
endfunction()
