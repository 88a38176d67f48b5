# fettle_embed(TARGET NAMESPACE FUNCTION HEADER FOLDER FILES…): puts files of FOLDER into TARGET as they are, and writes a
# source file that lists them: `const std::vector<EmbeddedFile>& NAMESPACE::FUNCTION()`, which HEADER declares.
function(fettle_embed target namespace function header folder)
  set(assembly ".section .rodata\n")
  set(declarations "")
  set(rows "")
  set(index 0)
  foreach(file ${ARGN})
    set(symbol fettle_${function}_${index})
    string(APPEND assembly ".balign 16\n.global ${symbol}\n${symbol}:\n.incbin \"${folder}/${file}\"\n"
                           ".global ${symbol}_end\n${symbol}_end:\n.byte 0\n")
    string(APPEND declarations "extern const char ${symbol}[], ${symbol}_end[];\n")
    string(APPEND rows "      {\"${file}\", {${symbol}, static_cast<size_t>(${symbol}_end - ${symbol})}},\n")
    math(EXPR index "${index} + 1")
    list(APPEND paths "${folder}/${file}")
  endforeach()
  string(APPEND assembly ".section .note.GNU-stack,\"\",%progbits\n")
  set(base ${CMAKE_CURRENT_BINARY_DIR}/${function}_embedded)
  file(CONFIGURE OUTPUT ${base}.S CONTENT "${assembly}" @ONLY)
  file(CONFIGURE OUTPUT ${base}.cpp CONTENT "#include \"${header}\"\n\nextern \"C\" {\n${declarations}}\n
namespace ${namespace} {\n
const std::vector<EmbeddedFile>& ${function}() {
  static const std::vector<EmbeddedFile> files{\n${rows}  };
  return files;
}\n
}  // namespace ${namespace}\n" @ONLY)
  set_source_files_properties(${base}.S PROPERTIES OBJECT_DEPENDS "${paths}")
  target_sources(${target} PRIVATE ${base}.S ${base}.cpp)
endfunction()
