// What the highlighter knows of each language: words, comments, strings. Names as people write them after ```.

const words = (text) => new Set(text.split(/\s+/));

const cFamily = { line: ["//"], block: [["/*", "*/"]], strings: ['"', "'"] };
const hash = { line: ["#"], strings: ['"', "'"] };

const languages = {
  JavaScript: { names: "js javascript jsx mjs ts typescript tsx", ...cFamily, strings: ['"', "'", "`"],
    keywords: words(`async await break case catch class const continue debugger default delete do else enum export
      extends finally for from function get if implements import in instanceof interface let new of return set static
      super switch this throw try type typeof var void while with yield as readonly private public`),
    constants: words("true false null undefined NaN Infinity") },
  Python: { names: "py python python3", ...hash, strings: ['"""', "'''", '"', "'"],
    keywords: words(`and as assert async await break class continue def del elif else except finally for from global if
      import in is lambda match case nonlocal not or pass raise return try while with yield`),
    constants: words("True False None self cls") },
  "C++": { names: "c cc cpp c++ cxx h hpp cu cuda", ...cFamily, preprocessor: true,
    keywords: words(`alignas auto bool break case catch char class co_await co_return co_yield concept const consteval
      constexpr continue decltype default delete do double else enum explicit extern final float for friend goto if
      inline int int32_t int64_t long mutable namespace new noexcept operator override private protected public
      requires return short signed size_t sizeof static struct switch template this throw try typedef typename union
      unsigned using virtual void volatile while __global__ __device__ __shared__`),
    constants: words("true false nullptr NULL") },
  Rust: { names: "rs rust", ...cFamily, strings: ['"'],
    keywords: words(`as async await break const continue crate dyn else enum extern fn for if impl in let loop match mod
      move mut pub ref return self static struct super trait type unsafe use where while`),
    constants: words("true false None Some Ok Err Self") },
  Go: { names: "go golang", ...cFamily, strings: ['"', "'", "`"],
    keywords: words(`break case chan const continue default defer else fallthrough for func go goto if import interface
      map package range return select struct switch type var`),
    constants: words("true false nil iota") },
  Java: { names: "java kotlin kt scala cs csharp c# swift dart php", ...cFamily, strings: ['"""', '"', "'"],
    keywords: words(`abstract break case catch class const continue data default do else enum extends final finally for
      fun func function guard if implements import in instanceof interface internal let namespace new object override
      package private protected public record return sealed static struct super switch this throw throws trait try
      using val var void when where while yield int long double float boolean bool char byte string`),
    constants: words("true false null nil") },
  Shell: { names: "sh bash zsh shell console", ...hash,
    keywords: words(`case do done elif else esac export fi for function if in local return select set then until while
      cd echo source exit sudo`),
    constants: words("true false") },
  SQL: { names: "sql sqlite postgres postgresql mysql", line: ["--"], block: [["/*", "*/"]], strings: ["'", '"'],
    ignoreCase: true,
    keywords: words(`add all alter and as asc begin between by case cast column commit create cross database default
      delete desc distinct drop else end exists foreign from full group having if in index inner insert into is join
      key left like limit not offset on or order outer primary references right rollback select set table then union
      unique update values view when where with`),
    constants: words("null true false") },
  JSON: { names: "json jsonl json5", line: [], strings: ['"'], keywords: words(""),
    constants: words("true false null"), keys: true },
  YAML: { names: "yaml yml toml ini cfg dockerfile", ...hash, keywords: words("FROM RUN COPY CMD ENV WORKDIR"),
    constants: words("true false null yes no"), keys: true },
  Lua: { names: "lua", line: ["--"], strings: ['"', "'"],
    keywords: words(`and break do else elseif end for function goto if in local not or repeat return then until while`),
    constants: words("true false nil") },
  Ruby: { names: "rb ruby elixir ex perl pl r julia jl", ...hash,
    keywords: words(`alias and begin break case class def defmodule do else elsif end ensure for function if in library
      module my next not or our require rescue return self sub super then unless until use using when while yield`),
    constants: words("true false nil TRUE FALSE NULL NA") },
  CSS: { names: "css scss less", block: [["/*", "*/"]], line: [], strings: ['"', "'"], keywords: words(""),
    constants: words("inherit initial none auto"), keys: true },
  HTML: { names: "html xml svg vue", markup: true },
  Diff: { names: "diff patch", lines: [["@@", "type"], ["+", "added"], ["-", "removed"]] },
};

const byName = new Map();
for (const [title, language] of Object.entries(languages)) {
  for (const name of language.names.split(" ")) byName.set(name, { title, ...language });
}

/** The entry for a name after ```, or null. */
export function findLanguage(name) {
  return byName.get(name.toLowerCase()) ?? null;
}
