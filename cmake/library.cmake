# libsupervise: the objects of all modules in one archive, and the public headers. What the command
# line needs is left out: that belongs to the program alone.
get_property(modules GLOBAL PROPERTY SUPERVISE_MODULES)
list(REMOVE_ITEM modules supervise_cli)
list(TRANSFORM modules REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
get_property(headers GLOBAL PROPERTY SUPERVISE_PUBLIC_HEADERS)
list(TRANSFORM headers REPLACE "/include/.*" "/include" OUTPUT_VARIABLE header_roots)
list(REMOVE_DUPLICATES header_roots)

# The target cannot be called supervise: the program's file in the build folder is.
add_library(supervise_library STATIC ${objects})
add_library(supervise::supervise ALIAS supervise_library)
set_target_properties(supervise_library PROPERTIES
    OUTPUT_NAME supervise
    EXPORT_NAME supervise
    LINKER_LANGUAGE CXX
    VERIFY_INTERFACE_HEADER_SETS ON)
target_compile_features(supervise_library PUBLIC cxx_std_20)
target_link_libraries(supervise_library
    PUBLIC Boost::headers Threads::Threads
    PRIVATE spdlog::spdlog tomlplusplus::tomlplusplus)
target_sources(supervise_library PUBLIC FILE_SET HEADERS BASE_DIRS ${header_roots} FILES ${headers})
if(SUPERVISE_ASIO_SEPARATE)
    # Embedders must see the same Asio as the archive does.
    target_compile_definitions(supervise_library PUBLIC BOOST_ASIO_SEPARATE_COMPILATION)
endif()
