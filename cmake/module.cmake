# satchel_module(NAME SOURCES … DEPENDS … [LIBRARIES …])
#
# One static library `satchel_NAME` from a folder of server/. DEPENDS are other modules and LIBRARIES
# outside libraries; a unit test links the module and so, by its dependencies, nothing above it.
function(satchel_module name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
    add_library(satchel_${name} STATIC ${arg_SOURCES})
    target_include_directories(satchel_${name} PUBLIC
        $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/server> $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>)
    list(TRANSFORM arg_DEPENDS PREPEND satchel_)
    target_link_libraries(satchel_${name}
        PUBLIC $<BUILD_INTERFACE:satchel_flags> ${arg_DEPENDS} ${arg_LIBRARIES}
        PRIVATE $<BUILD_INTERFACE:satchel_warnings>)
endfunction()

# satchel_unit_test(MODULE SOURCES … [LIBRARIES …])
#
# A Criterion program `unit_MODULE` from tests/unit/MODULE, run by CTest under the label `unit` through
# the wrapper that turns sanitizer reports into failures.
function(satchel_unit_test module)
    cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
    add_executable(unit_${module} ${arg_SOURCES})
    target_link_libraries(unit_${module} PRIVATE satchel_${module} PkgConfig::CRITERION
        ${arg_LIBRARIES})
    target_include_directories(unit_${module} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    # -j1: with tests side by side Criterion 2.4.1 itself leaks, which the leak check would report.
    add_test(NAME unit/${module}
        COMMAND ${CMAKE_SOURCE_DIR}/tests/support/run-checked $<TARGET_FILE:unit_${module}> -j1)
    set_tests_properties(unit/${module} PROPERTIES LABELS unit TIMEOUT 600)
endfunction()
