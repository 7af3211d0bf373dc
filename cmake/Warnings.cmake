# One warning level for the whole tree; warnings are errors.
add_library(media_warnings INTERFACE)
target_compile_options(media_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wpointer-arith -Wwrite-strings -Werror
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>)
add_compile_options(-fstack-protector-strong -fno-strict-aliasing)
if(NOT MEDIA_ASAN AND NOT MEDIA_TSAN AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_definitions(_FORTIFY_SOURCE=2)
endif()
add_link_options(-Wl,-z,relro,-z,now)
