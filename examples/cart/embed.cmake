# cmake -DHEADER=files.h -DSOURCE=files.c -DFILES=a;b -P embed.cmake
#
# Writes the FILES as arrays of bytes: page/cart.js becomes `file_cart_js` and `file_cart_js_bytes`.
set(header "/* Made from the files of the page; the build does that. */\n#pragma once\n\n#include <stddef.h>\n\n")
set(source "#include \"files.h\"\n\n")
foreach(file IN LISTS FILES)
    cmake_path(GET file FILENAME name)
    string(MAKE_C_IDENTIFIER "file_${name}" name)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND header
        "extern const unsigned char ${name}[];\nextern const size_t ${name}_bytes;\n")
    string(APPEND source
        "const unsigned char ${name}[] = {\n${bytes}};\n"
        "const size_t ${name}_bytes = sizeof(${name});\n\n")
endforeach()
file(WRITE ${HEADER} "${header}")
file(WRITE ${SOURCE} "${source}")
