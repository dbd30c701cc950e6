# satchel_public_library(NAME OUTPUT … WHOLE … PARTS … [PUBLIC …] [PRIVATE …] DESCRIPTION …)
#
# Makes NAME_static and NAME_shared from internal archives. All of WHOLE and what it needs of PARTS is
# linked into one relocatable object whose hidden symbols are then made local, so that even in the
# static library only satchel_… can be seen and nothing clashes with the names of a program.
function(satchel_public_library name)
    cmake_parse_arguments(arg "" "OUTPUT" "WHOLE;PARTS;PUBLIC;PRIVATE" ${ARGN})
    set(whole "")
    foreach(target IN LISTS arg_WHOLE)
        list(APPEND whole $<TARGET_FILE:${target}>)
    endforeach()
    set(parts "")
    foreach(target IN LISTS arg_PARTS)
        list(APPEND parts $<TARGET_FILE:${target}>)
    endforeach()
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
    set(no_lto "")
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        set(no_lto -flinker-output=nolto-rel)
    endif()
    add_custom_command(OUTPUT ${object}
        COMMAND ${CMAKE_C_COMPILER} -r -nostdlib ${no_lto} -o ${object}.all
            -Wl,--whole-archive ${whole} -Wl,--no-whole-archive
            -Wl,--start-group ${parts} -Wl,--end-group
        COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${object}.all ${object}
        DEPENDS ${arg_WHOLE} ${arg_PARTS}
        COMMENT "Linking ${name}.o"
        VERBATIM)
    set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
    add_custom_target(${name}_object DEPENDS ${object})

    foreach(kind STATIC SHARED)
        string(TOLOWER ${kind} suffix)
        set(target ${name}_${suffix})
        add_library(${target} ${kind} ${object})
        add_dependencies(${target} ${name}_object)
        target_compile_features(${target} INTERFACE c_std_99)
        set_target_properties(${target} PROPERTIES
            LINKER_LANGUAGE C
            OUTPUT_NAME ${arg_OUTPUT}
            VERSION ${PROJECT_VERSION}
            SOVERSION ${PROJECT_VERSION_MAJOR})
        target_sources(${target} INTERFACE FILE_SET HEADERS
            BASE_DIRS ${CMAKE_SOURCE_DIR}/include
            FILES ${CMAKE_SOURCE_DIR}/include/satchel/satchel.h
                  ${CMAKE_SOURCE_DIR}/include/satchel/emf.h
                  ${CMAKE_SOURCE_DIR}/include/satchel/protocol.h)
    endforeach()
    # A look-up may still run on a thread of its own when a program lets go of the library.
    target_link_options(${name}_shared PRIVATE -Wl,-z,nodelete)
    # What the archive needs, its user has to link; pkg-config's imported targets mean nothing
    # outside this build.
    foreach(library IN LISTS arg_PRIVATE)
        target_link_libraries(${name}_static INTERFACE $<BUILD_INTERFACE:${library}>)
        target_link_libraries(${name}_shared PRIVATE $<BUILD_INTERFACE:${library}>)
    endforeach()
    foreach(library IN LISTS arg_PUBLIC)
        target_link_libraries(${name}_static INTERFACE ${library}_static)
        target_link_libraries(${name}_shared PUBLIC ${library}_shared)
    endforeach()
    target_link_libraries(${name}_shared PRIVATE $<BUILD_INTERFACE:satchel_flags>)
    if(SATCHEL_SANITIZE)
        target_link_options(${name}_static INTERFACE $<BUILD_INTERFACE:-fsanitize=${SATCHEL_SANITIZE}>)
    endif()
endfunction()
