# What makes a fault in memory end the program instead of being used; tests/structure/hardened.py reads the result from the ELF file.
include(CheckCXXCompilerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fstack-protector-strong>)
foreach(flag stack-clash-protection cf-protection)
  check_cxx_compiler_flag(-f${flag} fettle_has_${flag})
  if(fettle_has_${flag})
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-f${flag}>)
  endif()
endforeach()
add_compile_definitions(_GLIBCXX_ASSERTIONS)
if(NOT FETTLE_SANITIZE AND NOT FETTLE_FUZZ AND NOT FETTLE_TSAN)  # sanitizers check the same calls themselves, and see less of the checked ones
  add_compile_options($<$<AND:$<COMPILE_LANGUAGE:CXX>,$<NOT:$<CONFIG:Debug>>>:-U_FORTIFY_SOURCE>
                      $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<NOT:$<CONFIG:Debug>>>:-D_FORTIFY_SOURCE=2>)
endif()
add_link_options(LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
