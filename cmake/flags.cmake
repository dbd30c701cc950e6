# Two interface targets: `satchel_flags` is linked PUBLIC by everything, `satchel_warnings` PRIVATE
# by product code only (Criterion's macros are not clean under -Wconversion).

include(CheckCCompilerFlag)

function(satchel_add_if_supported target)
    foreach(flag IN LISTS ARGN)
        string(MAKE_C_IDENTIFIER "SATCHEL_HAS_${flag}" seen)
        check_c_compiler_flag("-Werror ${flag}" ${seen})
        if(${seen})
            target_compile_options(${target} INTERFACE ${flag})
        endif()
    endforeach()
endfunction()

add_library(satchel_flags INTERFACE)
target_compile_features(satchel_flags INTERFACE c_std_17)
target_compile_definitions(satchel_flags INTERFACE _GNU_SOURCE
    SATCHEL_VERSION_TEXT="${PROJECT_VERSION}")
satchel_add_if_supported(satchel_flags
    -fstack-protector-strong -fno-strict-overflow -fno-delete-null-pointer-checks
    -Werror=implicit -Werror=incompatible-pointer-types -Werror=int-conversion)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
    satchel_add_if_supported(satchel_flags -fcf-protection=full)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
    satchel_add_if_supported(satchel_flags -mbranch-protection=standard)
endif()
target_link_options(satchel_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)
if(SATCHEL_SANITIZE)
    target_compile_options(satchel_flags INTERFACE
        -fsanitize=${SATCHEL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(satchel_flags INTERFACE -fsanitize=${SATCHEL_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(satchel_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()

add_library(satchel_warnings INTERFACE)
satchel_add_if_supported(satchel_warnings
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
    -Wmissing-prototypes -Wold-style-definition -Wcast-qual -Wwrite-strings -Wundef -Wvla
    -Wnull-dereference -Wdouble-promotion -Wformat=2 -Wimplicit-fallthrough
    -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wtrampolines)
