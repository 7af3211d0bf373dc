# cmake -D OUT=file.c -D DIR=templates -P embed.cmake: the mail templates as C arrays.
set(text "/* Made from templates/ by embed.cmake. */\n#include \"template.h\"\n\n")
foreach(name ready.txt ready.html failed.txt failed.html)
  file(READ ${DIR}/${name} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(................................................................................)"
    "\\1\n" bytes "${bytes}")
  string(REPLACE "." "_" symbol ${name})
  string(APPEND text "const char template_${symbol}[] = {\n${bytes}0};\n")
endforeach()
file(WRITE ${OUT} "${text}")
