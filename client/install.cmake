# What `cmake --install` puts where: component `dev` is what programs are built with, `library` what
# they run with, and `runtime` the programs.
include(CMakePackageConfigHelpers)

foreach(target satchel_static satchel_shared satchel_async_static satchel_async_shared)
    string(REPLACE satchel_ "" export_name ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${export_name})
endforeach()
install(TARGETS satchel_static satchel_shared satchel_async_static satchel_async_shared
    EXPORT satchel-targets
    LIBRARY COMPONENT library NAMELINK_COMPONENT dev
    ARCHIVE COMPONENT dev
    FILE_SET HEADERS COMPONENT dev)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/satchel)
install(EXPORT satchel-targets NAMESPACE satchel:: DESTINATION ${package_dir} COMPONENT dev)
configure_package_config_file(satchel-config.cmake.in satchel-config.cmake
    INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(satchel-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${CMAKE_CURRENT_BINARY_DIR}/satchel-config.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/satchel-config-version.cmake
    DESTINATION ${package_dir} COMPONENT dev)

# The .pc files find everything from where they lie, so an installation may be moved. A prefix that
# is baked in would be wrong after `cmake --install --prefix`.
file(RELATIVE_PATH SATCHEL_PC_TO_PREFIX
    /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
foreach(name satchel satchel-async)
    configure_file(${name}.pc.in ${name}.pc @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endforeach()
