# supervise_module(NAME SOURCES ... HEADERS ... LINK ...)
# A static library supervise_NAME, so that a test links one module and what lies below it; all of
# them together make the library supervise::supervise. HEADERS are the public ones, installed
# below include/.
add_library(supervise_warnings INTERFACE)
target_compile_options(supervise_warnings INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual
    # A false alarm of GCC 12 on std::string's operator+ when it optimises (GCC bug 105651).
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
    $<$<BOOL:${SUPERVISE_WERROR}>:-Werror>)

function(supervise_module name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;HEADERS;LINK")
    set(target supervise_${name})
    add_library(${target} STATIC ${arg_SOURCES})
    target_include_directories(${target} PUBLIC
        ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/include)
    target_link_libraries(${target} PUBLIC ${arg_LINK}
        PRIVATE $<BUILD_INTERFACE:supervise_warnings>)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    set_property(GLOBAL APPEND PROPERTY SUPERVISE_MODULES ${target})
    foreach(header IN LISTS arg_HEADERS)
        cmake_path(ABSOLUTE_PATH header NORMALIZE)
        set_property(GLOBAL APPEND PROPERTY SUPERVISE_PUBLIC_HEADERS ${header})
    endforeach()
endfunction()
