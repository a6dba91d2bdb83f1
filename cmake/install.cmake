# The program, the library as a CMake package, and the Python package that workers run. The program
# finds the latter from its own place (supervisor/python_package.hpp), so a prefix can be moved.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/supervise)
set(python_dir ${CMAKE_INSTALL_DATADIR}/supervise/python/src)

install(TARGETS supervise_program RUNTIME)
install(DIRECTORY python/src/ DESTINATION ${python_dir}
    PATTERN __pycache__ EXCLUDE
    PATTERN *.egg-info EXCLUDE)

install(TARGETS supervise_library EXPORT supervise-targets FILE_SET HEADERS)
install(EXPORT supervise-targets NAMESPACE supervise:: DESTINATION ${package_dir})
configure_package_config_file(cmake/supervise-config.cmake.in
    ${PROJECT_BINARY_DIR}/supervise-config.cmake
    INSTALL_DESTINATION ${package_dir}
    PATH_VARS python_dir)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/supervise-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/supervise-config.cmake
    ${PROJECT_BINARY_DIR}/supervise-config-version.cmake
    DESTINATION ${package_dir})
