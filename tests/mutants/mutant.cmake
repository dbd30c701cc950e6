# satchel_mutant(NAME PATCHES … [FOLDERS …])
#
# A program `satcheld_NAME` that is broken on purpose: satcheld with the patches applied to a copy of
# server/ in the build tree, so that product code needs no switch for it. PATCHES are files of
# tests/mutants, made for `patch -p1` in the root of the repository; one that does not apply any more is
# an error of the build.
#
# Only what the patches touch is compiled again: the program is linked from these objects and from
# the libraries of the whole, out of which the same files are then not taken. FOLDERS (store,
# lifecycle, …; `program` is server/ itself) are compiled again as a whole: those that include a
# header that a patch changes.
function(satchel_mutant name)
    cmake_parse_arguments(arg "" "" "PATCHES;FOLDERS" ${ARGN})
    set(copy ${CMAKE_CURRENT_BINARY_DIR}/${name})
    list(TRANSFORM arg_PATCHES PREPEND ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/)

    # What is compiled again: sources named in the patches, and those of whole folders.
    set(changed)
    foreach(patch IN LISTS arg_PATCHES)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${patch})
        file(STRINGS ${patch} lines REGEX "^\\+\\+\\+ b/server/.*\\.c")
        foreach(line IN LISTS lines)
            string(REGEX REPLACE "^\\+\\+\\+ b/(server/[^ \t]*).*" "\\1" source "${line}")
            list(APPEND changed ${source})
        endforeach()
    endforeach()
    foreach(folder IN LISTS arg_FOLDERS)
        set(target satchel_${folder})
        set(place server/${folder}/)
        if(folder STREQUAL program)
            set(target satcheld)
            set(place server/)
        endif()
        get_target_property(sources ${target} SOURCES)
        list(TRANSFORM sources PREPEND ${place})
        list(APPEND changed ${sources})
    endforeach()
    list(REMOVE_DUPLICATES changed)

    # The program's own objects, but those of sources that changed.
    set(objects $<TARGET_OBJECTS:satcheld>)
    foreach(source IN LISTS changed)
        if(source MATCHES "^server/([^/]*)\\.c$")
            set(objects $<FILTER:${objects},EXCLUDE,/${CMAKE_MATCH_1}\\.c\\.o$>)
        endif()
    endforeach()

    file(GLOB_RECURSE originals CONFIGURE_DEPENDS
        ${CMAKE_SOURCE_DIR}/server/*.c ${CMAKE_SOURCE_DIR}/server/*.h)
    list(TRANSFORM changed PREPEND ${copy}/ OUTPUT_VARIABLE copies)
    add_custom_command(OUTPUT ${copies}
        COMMAND ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/apply ${CMAKE_SOURCE_DIR} ${copy} ${arg_PATCHES}
        DEPENDS ${originals} ${arg_PATCHES} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/apply
        COMMENT "Breaking satcheld: ${name}" VERBATIM)

    get_target_property(libraries satcheld LINK_LIBRARIES)
    list(REMOVE_ITEM libraries satchel_warnings)
    add_executable(satcheld_${name} ${copies} ${objects})
    target_include_directories(satcheld_${name} BEFORE PRIVATE ${copy}/server)
    target_link_libraries(satcheld_${name} PRIVATE ${libraries})
    set_target_properties(satcheld_${name} PROPERTIES C_CLANG_TIDY "")
endfunction()
