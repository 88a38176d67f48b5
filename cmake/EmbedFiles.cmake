# fettle_embed(TARGET FUNCTION_FILE FOLDER FILES…): puts files of FOLDER into TARGET as they are, and writes a source file
# that lists them: `const std::vector<EmbeddedFile>& starter_files()`.
function(fettle_embed target folder)
  set(assembly ".section .rodata\n")
  set(declarations "")
  set(rows "")
  set(index 0)
  foreach(file ${ARGN})
    string(APPEND assembly ".balign 16\n.global fettle_embedded_${index}\nfettle_embedded_${index}:\n.incbin \"${folder}/${file}\"\n"
                           ".global fettle_embedded_${index}_end\nfettle_embedded_${index}_end:\n.byte 0\n")
    string(APPEND declarations "extern const char fettle_embedded_${index}[], fettle_embedded_${index}_end[];\n")
    string(APPEND rows "      {\"${file}\", {fettle_embedded_${index}, static_cast<size_t>(fettle_embedded_${index}_end - fettle_embedded_${index})}},\n")
    math(EXPR index "${index} + 1")
    list(APPEND paths "${folder}/${file}")
  endforeach()
  string(APPEND assembly ".section .note.GNU-stack,\"\",%progbits\n")
  set(base ${CMAKE_CURRENT_BINARY_DIR}/${target}_embedded)
  file(CONFIGURE OUTPUT ${base}.S CONTENT "${assembly}" @ONLY)
  file(CONFIGURE OUTPUT ${base}.cpp CONTENT "#include \"recipe/starter.h\"\n\nextern \"C\" {\n${declarations}}\n
namespace fettle {\n
const std::vector<EmbeddedFile>& starter_files() {
  static const std::vector<EmbeddedFile> files{\n${rows}  };
  return files;
}\n
}  // namespace fettle\n" @ONLY)
  set_source_files_properties(${base}.S PROPERTIES OBJECT_DEPENDS "${paths}")
  target_sources(${target} PRIVATE ${base}.S ${base}.cpp)
endfunction()
