// Markdown inside a paragraph → DOM nodes: emphasis, code, links, breaks. Each construct costs time linear in
// the text, so that no answer, however strange, can hang the page. Raw HTML stays text; pictures become links,
// because loading one would tell a stranger who reads here.
import { el, icon } from "/js/dom.js";

const maxDelimiters = 400;
const punctuation = /[!-/:-@[-`{-~\u2010-\u2027\u2030-\u205e\u3001-\u3003\p{S}]/u;
const entities = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", ndash: "–", mdash: "—",
                   hellip: "…", copy: "©", times: "×", rarr: "→", larr: "←", deg: "°" };
const destination = /\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\([^\s()]*\))*))(?:\s+(?:"[^"\n]*"|'[^'\n]*'))?\s*\)/y;
const address = /(?:https?:\/\/|www\.)[^\s<>"'`]+/y;
const entity = /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,8}));/iy;
const bracketed = /<(https?:\/\/[^\s<>]+|[^\s<>@]{1,64}@[^\s<>@]{1,200})>/y;

/** The nodes of one paragraph's text. */
export function inlineNodes(text) {
  return new InlineParser(text).parse();
}

/** A link's address when it may be followed, else null: script and data addresses never are. */
export function safeAddress(address) {
  try {
    const { protocol, href } = new URL(address.startsWith("www.") ? `https://${address}` : address);
    return ["http:", "https:", "mailto:"].includes(protocol) ? href : null;
  } catch {
    return null;
  }
}

function link(address, children) {
  const href = safeAddress(address);
  if (!href) return el("span", null, ...children);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
}

// Where an address in running text ends: before the sentence's own punctuation, and before a closing bracket
// that the address did not open.
function addressEnd(text) {
  let surplus = text.split(")").length - text.split("(").length;
  let end = text.length;
  for (; end > 0; end -= 1) {
    const last = text[end - 1];
    if (last === ")" && surplus > 0) surplus -= 1;
    else if (!".,:;!?*_~".includes(last)) break;
  }
  return end;
}

class InlineParser {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.out = document.createDocumentFragment();
    this.plain = "";
    this.delimiters = [];
    this.brackets = [];
    this.ticks = null;
  }

  parse() {
    while (this.at < this.text.length) this.step();
    this.flush();
    this.pairEmphasis(0);
    return this.out;
  }

  step() {
    const sign = this.text[this.at];
    if (sign === "\\") this.escape();
    else if (sign === "`") this.code();
    else if (sign === "*" || sign === "_" || sign === "~") this.delimiterRun(sign);
    else if (sign === "[") this.openBracket(false);
    else if (sign === "!" && this.text[this.at + 1] === "[") this.openBracket(true);
    else if (sign === "]") this.closeBracket();
    else if (sign === "\n") this.lineBreak();
    else if (sign === "&") this.entity();
    else if (sign === "<") this.angle();
    else if ((sign === "h" || sign === "w") && !/\w/.test(this.text[this.at - 1] ?? " ")) this.bareAddress();
    else this.take(1);
  }

  take(length) {
    this.plain += this.text.slice(this.at, this.at + length);
    this.at += length;
  }

  flush() {
    if (this.plain) this.out.append(this.plain);
    this.plain = "";
  }

  add(node) {
    this.flush();
    this.out.append(node);
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text);
  }

  escape() {
    const next = this.text[this.at + 1];
    if (next === "\n") {
      this.add(el("br"));
      this.at += 2;
    } else if (next && /[!-/:-@[-`{-~]/.test(next)) {
      this.plain += next;
      this.at += 2;
    } else {
      this.take(1);
    }
  }

  // A run of n ticks is closed by the next run of exactly n. The runs are listed once, by length.
  code() {
    if (!this.ticks) {
      this.ticks = new Map();
      for (const run of this.text.matchAll(/`+/g)) {
        const list = this.ticks.get(run[0].length) ?? [];
        list.push(run.index);
        this.ticks.set(run[0].length, list);
      }
    }
    const length = this.match(/`+/y)[0].length;
    const list = this.ticks.get(length) ?? [];
    while (list.length && list[0] <= this.at) list.shift();
    if (!list.length) return this.take(length);
    let inside = this.text.slice(this.at + length, list[0]).replace(/\n/g, " ");
    if (inside.startsWith(" ") && inside.endsWith(" ") && inside.trim()) inside = inside.slice(1, -1);
    this.add(el("code", null, inside));
    this.at = list[0] + length;
  }

  lineBreak() {
    const hard = this.plain.endsWith("  ");
    this.plain = this.plain.trimEnd();
    this.flush();
    if (hard) this.add(el("br"));
    else this.plain = "\n";
    this.at += 1;
    while (this.text[this.at] === " ") this.at += 1;
  }

  entity() {
    const found = this.match(entity);
    if (!found) return this.take(1);
    const code = found[1] ? Number(found[1]) : found[2] ? parseInt(found[2], 16) : 0;
    const known = found[3] ? entities[found[3].toLowerCase()] : code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
    if (!known) return this.take(found[0].length);
    this.plain += known;
    this.at += found[0].length;
  }

  // `<br>`, which models write in table cells, is the one tag that means something here.
  angle() {
    const line = this.match(/<br ?\/?>/iy);
    if (line) {
      this.add(el("br"));
      this.at += line[0].length;
      return;
    }
    const found = this.match(bracketed);
    if (!found) return this.take(1);
    this.add(link(found[1].includes("://") ? found[1] : `mailto:${found[1]}`, [found[1]]));
    this.at += found[0].length;
  }

  bareAddress() {
    const found = this.match(address);
    if (!found) return this.take(1);
    const shown = found[0].slice(0, addressEnd(found[0]));
    if (this.brackets.length) this.plain += shown;
    else this.add(link(shown, [shown]));
    this.at += shown.length;
  }

  delimiterRun(sign) {
    const run = this.match(/([*_~])\1*/y)[0];
    const odd = run.length > 3 || (sign === "~" && run.length !== 2);
    if (odd || this.delimiters.length >= maxDelimiters) return this.take(run.length);
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[this.at + run.length] ?? " ";
    const left = !/\s/.test(after) && (!punctuation.test(after) || /\s/.test(before) || punctuation.test(before));
    const right = !/\s/.test(before) && (!punctuation.test(before) || /\s/.test(after) || punctuation.test(after));
    const word = sign === "_";
    const node = document.createTextNode(run);
    this.add(node);
    this.at += run.length;
    this.delimiters.push({ sign, node, left: run.length,
                           opens: left && (!word || !right || punctuation.test(before)),
                           closes: right && (!word || !left || punctuation.test(after)) });
  }

  openBracket(picture) {
    const node = document.createTextNode(picture ? "![" : "[");
    this.add(node);
    this.at += picture ? 2 : 1;
    this.brackets.push({ node, picture, delimiters: this.delimiters.length });
  }

  closeBracket() {
    const opener = this.brackets.pop();
    this.at += 1;
    const found = opener && this.match(destination);
    if (!found) {
      this.plain += "]";
      return;
    }
    this.flush();
    this.pairEmphasis(opener.delimiters);
    const children = [];
    while (opener.node.nextSibling) {
      children.push(opener.node.nextSibling);
      opener.node.nextSibling.remove();
    }
    opener.node.remove();
    const target = (found[1] ?? found[2]).replace(/\\([!-/:-@[-`{-~])/g, "$1");
    if (opener.picture) {
      const name = children.map((child) => child.textContent).join("") || "picture";
      this.add(link(target, [icon("picture"), name]));
    } else {
      this.add(link(target, children));
      this.brackets = [];  // a link holds no link
    }
    this.at += found[0].length;
  }

  // CommonMark's pairing of emphasis, over the delimiters from `bottom` up.
  pairEmphasis(bottom) {
    const stack = [];
    for (const closer of this.delimiters.splice(bottom)) {
      while (closer.closes && closer.left > 0) {
        const index = stack.findLastIndex((opener) => opener.sign === closer.sign);
        if (index < 0) break;
        const opener = stack[index];
        stack.length = index + 1;
        const length = closer.sign === "~" || (opener.left >= 2 && closer.left >= 2) ? 2 : 1;
        this.wrap(opener, closer, length);
        if (opener.left === 0) stack.pop();
      }
      if (closer.opens && closer.left > 0) stack.push(closer);
    }
  }

  wrap(opener, closer, length) {
    const name = closer.sign === "~" ? "del" : length === 2 ? "strong" : "em";
    const wrapper = el(name);
    while (opener.node.nextSibling !== closer.node) wrapper.append(opener.node.nextSibling);
    opener.node.after(wrapper);
    for (const end of [opener, closer]) {
      end.left -= length;
      end.node.data = end.node.data.slice(length);
    }
  }
}
