# Files in a program: page/cart.js becomes the array of bytes `file_cart_js` and its length `file_cart_js_bytes`.
#
# Their header also has them as a list: EMBEDDED_FILES(X) is X("cart.js", file_cart_js) for each.
#
# Included, this defines satchel_embed(OUT FILE…): OUT becomes the sources that hold the files, for
# add_executable() or add_library(); their header is "files.h" in the current binary directory.
# As a script it does the work: cmake -DHEADER=files.h -DSOURCE=files.c -DFILES=a;b -P embed.cmake
if(NOT CMAKE_SCRIPT_MODE_FILE)
    set(satchel_embed_script ${CMAKE_CURRENT_LIST_FILE})
    function(satchel_embed out)
        set(source ${CMAKE_CURRENT_BINARY_DIR}/files.c)
        set(header ${CMAKE_CURRENT_BINARY_DIR}/files.h)
        add_custom_command(
            OUTPUT ${source} ${header}
            COMMAND ${CMAKE_COMMAND} -DHEADER=${header} -DSOURCE=${source} "-DFILES=${ARGN}"
                -P ${satchel_embed_script}
            DEPENDS ${ARGN} ${satchel_embed_script}
            COMMENT "Embedding files"
            VERBATIM)
        set(${out} ${source} ${header} PARENT_SCOPE)
    endfunction()
    return()
endif()

set(header "/* Made by the build from the files that it holds. */\n#pragma once\n\n#include <stddef.h>\n\n")
set(list "#define EMBEDDED_FILES(X)")
set(source "#include \"files.h\"\n\n")
foreach(file IN LISTS FILES)
    cmake_path(GET file FILENAME file_name)
    string(MAKE_C_IDENTIFIER "file_${file_name}" name)
    string(APPEND list " \\\n    X(\"${file_name}\", ${name})")
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND header
        "extern const unsigned char ${name}[];\nextern const size_t ${name}_bytes;\n")
    string(APPEND source
        "const unsigned char ${name}[] = {\n${bytes}};\n"
        "const size_t ${name}_bytes = sizeof(${name});\n\n")
endforeach()
file(WRITE ${HEADER} "${header}\n${list}\n")
file(WRITE ${SOURCE} "${source}")
