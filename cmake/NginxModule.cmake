# nginx_dynamic_module(<name> <sources>): compile sources against the headers of
# a configured nginx tree and link <name>.so, exporting only what nginx loads.
#
# The tree: Debian's nginx-dev (the headers and configure flags of the packaged
# nginx), or MEDIA_NGINX_SRC (any source tree already configured into objs/).
set(NGX_OBJS ${CMAKE_BINARY_DIR}/nginx/objs)
if(MEDIA_NGINX_SRC)
  set(NGX_TREE ${MEDIA_NGINX_SRC})
  set(NGX_OBJS ${MEDIA_NGINX_SRC}/objs)
else()
  set(NGX_DEV /usr/share/nginx/src)
  set(NGX_TREE ${CMAKE_BINARY_DIR}/nginx)
  if(NOT EXISTS ${NGX_DEV}/conf_flags)
    message(FATAL_ERROR "nginx-dev is not installed (run: make deps)")
  endif()
  if(NOT EXISTS ${NGX_OBJS}/ngx_auto_config.h)
    message(STATUS "configuring the nginx headers of nginx-dev")
    file(COPY ${NGX_DEV}/ DESTINATION ${NGX_TREE})
    execute_process(
      COMMAND bash -c ". ./conf_flags && ./configure \"\${NGX_CONF_FLAGS[@]}\" --builddir=objs"
      WORKING_DIRECTORY ${NGX_TREE} OUTPUT_QUIET RESULT_VARIABLE rc)
    if(NOT rc EQUAL 0)
      message(FATAL_ERROR "configuring nginx-dev failed")
    endif()
  endif()
endif()

set(NGX_INCLUDES ${NGX_OBJS})
foreach(dir core event event/modules event/quic os/unix http http/modules http/v2 http/v3)
  list(APPEND NGX_INCLUDES ${NGX_TREE}/src/${dir})
endforeach()

function(nginx_dynamic_module name)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_modules.c.tmp
"#include <ngx_config.h>
#include <ngx_core.h>
extern ngx_module_t  ${name};
ngx_module_t *ngx_modules[] = { &${name}, NULL };
char *ngx_module_names[] = { \"${name}\", NULL };
char *ngx_module_order[] = { NULL };
")
  configure_file(${CMAKE_CURRENT_BINARY_DIR}/${name}_modules.c.tmp
    ${CMAKE_CURRENT_BINARY_DIR}/${name}_modules.c COPYONLY)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}.ld
    "{ global: ngx_modules; ngx_module_names; ngx_module_order; local: *; };\n")
  add_library(${name} MODULE ${ARGN} ${CMAKE_CURRENT_BINARY_DIR}/${name}_modules.c)
  target_include_directories(${name} SYSTEM PRIVATE ${NGX_INCLUDES})
  # as ngx_linux_config.h has it, for headers of the system that come before it
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  # nginx's callbacks leave parameters unused by design; its timers read the first fields of
  # any event's data as a connection's (ngx_event_ident, debug log), which gcc takes for an overrun
  target_compile_options(${name} PRIVATE
    -Wall -Wextra -Wno-unused-parameter -Wno-array-bounds -Wshadow -Wvla -Wpointer-arith -Werror)
  target_link_options(${name} PRIVATE
    -Wl,--version-script=${CMAKE_CURRENT_BINARY_DIR}/${name}.ld)
  set_target_properties(${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
endfunction()
