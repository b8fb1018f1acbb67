# How every library, program and test of the project is built.

add_library(purgeline_options INTERFACE)
target_compile_options(purgeline_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  -fno-omit-frame-pointer -fstack-protector-strong)
target_compile_definitions(purgeline_options INTERFACE _GLIBCXX_ASSERTIONS)
target_include_directories(purgeline_options INTERFACE
  ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(purgeline_options INTERFACE deps::expected)
if(PURGELINE_SANITIZE)
  target_compile_options(purgeline_options INTERFACE
    -fsanitize=${PURGELINE_SANITIZE} -fno-sanitize-recover=all -g1
    -Wno-maybe-uninitialized)  # g++ 12 sees uses that the instrumentation made
  target_link_options(purgeline_options INTERFACE -fsanitize=${PURGELINE_SANITIZE})
endif()

if(PURGELINE_FUZZ)
  target_compile_options(purgeline_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined
    -fno-sanitize-recover=all)
  target_link_options(purgeline_options INTERFACE -fsanitize=address,undefined)
endif()

# purgeline_library(name SOURCES ... [DEPS ...] [PUBLIC_DEPS ...]): the static library purgeline_<name>.
function(purgeline_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PUBLIC_DEPS" ${ARGN})
  add_library(purgeline_${name} STATIC ${arg_SOURCES})
  target_link_libraries(purgeline_${name} PUBLIC purgeline_options ${arg_PUBLIC_DEPS} PRIVATE ${arg_DEPS})
  if(NOT name STREQUAL "base")
    target_link_libraries(purgeline_${name} PUBLIC purgeline_base)
  endif()
endfunction()

# purgeline_test(name SOURCES ... DEPS ... LABELS ...): a GoogleTest program and its ctest entry.
function(purgeline_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE purgeline_options purgeline_base ${arg_DEPS}
    GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
endfunction()
