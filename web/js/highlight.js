// Colours for code: a scanner over comments, strings, numbers and words, one pass, no look-back. It colours what
// is plain to see and leaves the rest alone.
import { el } from "/js/dom.js";
import { findLanguage } from "/js/languages.js";

const longest = 60000;
const shown = { js: "JavaScript", ts: "TypeScript", typescript: "TypeScript", c: "C", cs: "C#", csharp: "C#",
                kt: "Kotlin", kotlin: "Kotlin", swift: "Swift", php: "PHP", toml: "TOML", xml: "XML", cuda: "CUDA",
                jsonl: "JSON lines", bash: "Bash", scala: "Scala", dart: "Dart", r: "R", perl: "Perl", julia: "Julia" };
const number = /(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)[a-zA-Z]{0,3}/y;
const word = /[\p{L}_$@][\p{L}\p{N}_$]*/uy;
const other = /[^\p{L}\p{N}_$@"'`#/\-\n]+|./suy;

/** How a code block is titled: the language's name, or what the author wrote. */
export function languageName(name) {
  return shown[name.toLowerCase()] ?? findLanguage(name)?.title ?? name.slice(0, 30);
}

/** The nodes of `code`; plain text where the language is unknown or the code very long. */
export function highlight(code, name) {
  const language = findLanguage(name);
  if (!language || code.length > longest) return [code];
  if (language.lines) return highlightLines(code, language.lines);
  if (language.markup) return highlightMarkup(code);
  return new Scanner(code, language).scan();
}

function span(kind, text) {
  return el("span", { class: `hl-${kind}` }, text);
}

class Scanner {
  constructor(code, language) {
    this.code = code;
    this.language = language;
    this.at = 0;
    this.nodes = [];
    this.plain = "";
  }

  scan() {
    while (this.at < this.code.length) {
      if (!this.comment() && !this.string() && !this.number() && !this.word()) this.take(null, this.match(other));
    }
    this.take(null, "");
    if (this.plain) this.nodes.push(this.plain);
    return this.nodes;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    return pattern.exec(this.code)?.[0] ?? "";
  }

  take(kind, text) {
    this.at += text.length;
    if (!kind) {
      this.plain += text;
      return true;
    }
    if (this.plain) this.nodes.push(this.plain);
    this.plain = "";
    this.nodes.push(span(kind, text));
    return true;
  }

  until(end, from) {
    const found = this.code.indexOf(end, from);
    return this.code.slice(this.at, found < 0 ? this.code.length : found + end.length);
  }

  comment() {
    const { line = [], block = [], preprocessor } = this.language;
    const starts = (mark) => this.code.startsWith(mark, this.at);
    const before = this.code[this.at - 1] ?? "\n";
    // "#" inside a word ($#, a#b) begins no comment.
    if (line.some((mark) => starts(mark) && (mark !== "#" || /\s/.test(before)))) {
      return this.take("comment", this.until("\n", this.at).replace(/\n$/, ""));
    }
    const opened = block.find(([open]) => starts(open));
    if (opened) return this.take("comment", this.until(opened[1], this.at + opened[0].length));
    if (preprocessor && before === "\n" && starts("#")) return this.take("type", this.match(/#\s*\w*/y));
    return false;
  }

  string() {
    const quote = this.language.strings?.find((mark) => this.code.startsWith(mark, this.at));
    if (!quote) return false;
    const many = quote.length === 3 || quote === "`";
    let end = this.at + quote.length;
    while (end < this.code.length && !this.code.startsWith(quote, end)) {
      if (!many && this.code[end] === "\n") break;
      end += this.code[end] === "\\" ? 2 : 1;
    }
    const closed = this.code.startsWith(quote, end);
    const text = this.code.slice(this.at, Math.min(end + (closed ? quote.length : 0), this.code.length));
    const after = this.code.slice(this.at + text.length, this.at + text.length + 8);
    return this.take(this.language.keys && /^\s*:/.test(after) ? "key" : "string", text);
  }

  number() {
    return /\d/.test(this.code[this.at]) && this.take("number", this.match(number));
  }

  word() {
    const text = this.match(word);
    if (!text) return false;
    const { keywords, constants, ignoreCase, keys } = this.language;
    const looked = ignoreCase ? text.toLowerCase() : text;
    const next = this.code[this.at + text.length];
    if (keywords.has(looked)) return this.take("keyword", text);
    if (constants.has(looked)) return this.take("constant", text);
    if (keys && next === ":") return this.take("key", text);
    if (next === "(") return this.take("function", text);
    if (/^[A-Z][A-Za-z0-9]*[a-z]/.test(text.slice(0, 80)) || text[0] === "@") return this.take("type", text);
    return this.take(null, text);
  }
}

function highlightLines(code, marks) {
  return code.split(/(?<=\n)/).map((line) => {
    const found = marks.find(([mark]) => line.startsWith(mark));
    return found ? span(found[1], line) : line;
  });
}

function highlightMarkup(code) {
  const nodes = [];
  const parts = /(<!--[^]*?(?:-->|$))|(<\/?[a-zA-Z][\w:-]*)([^<>]*)(\/?>)?/g;
  let at = 0;
  for (const found of code.matchAll(parts)) {
    nodes.push(code.slice(at, found.index));
    if (found[1]) {
      nodes.push(span("comment", found[1]));
    } else {
      nodes.push(span("keyword", found[2]), ...attributes(found[3]));
      if (found[4]) nodes.push(span("keyword", found[4]));
    }
    at = found.index + found[0].length;
  }
  return [...nodes, code.slice(at)];
}

function attributes(text) {
  return text.split(/("[^"]*"|'[^']*')/).map((part, index) => (index % 2 ? span("string", part) : span("key", part)));
}
