// Markdown → DOM nodes, block by block: headings, lists, tables, quotes, code, rules, paragraphs. CommonMark with
// GitHub's tables, task lists and strike-through; raw HTML stays text.
import { el, copyButton } from "/js/dom.js";
import { highlight, languageName } from "/js/highlight.js";
import { inlineNodes } from "/js/inline.js";

const maxDepth = 12;
// None of these can take more than linear time: what may repeat is never followed by what it could also match.
const fence = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const heading = /^ {0,3}(#{1,6})(?: |$)/;
const rule = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const quote = /^ {0,3}> ?/;
const item = /^( *)([-*+]|\d{1,9}[.)])(?:( {1,4})(?=\S)| *$| +)/;
const underline = /^ {0,3}(=+|-+) *$/;

/**
 * Keeps `box` showing a text that grows: blocks whose source did not change keep their nodes, so a long answer
 * costs only its last block, and a selection above it stays.
 */
export class MarkdownView {
  constructor(box) {
    this.box = box;
    this.shown = [];
  }

  update(text) {
    const blocks = parseBlocks(text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n"), 0);
    let same = 0;
    while (same < blocks.length && same < this.shown.length && this.shown[same].key === keyOf(blocks[same])) same += 1;
    for (const { node } of this.shown.splice(same)) node.remove();
    for (const block of blocks.slice(same)) {
      const node = renderBlock(block);
      this.box.append(node);
      this.shown.push({ key: keyOf(block), node });
    }
  }
}

const keyOf = (block) => `${block.kind}\n${block.source}`;

function indentOf(line) {
  return line.length - line.trimStart().length;
}

/** [{kind, source, …}] of the lines. Below `maxDepth` levels of nesting everything is a paragraph. */
function parseBlocks(lines, depth) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const read = depth >= maxDepth ? readParagraph(lines, at, true)
      : readFence(lines, at) ?? readHeading(lines, at) ?? readRule(lines, at) ?? readQuote(lines, at, depth)
      ?? readList(lines, at, depth) ?? readTable(lines, at) ?? readParagraph(lines, at, false);
    blocks.push({ ...read.block, source: lines.slice(at, read.end).join("\n") });
    at = read.end;
  }
  return blocks;
}

function readFence(lines, at) {
  const open = fence.exec(lines[at]);
  if (!open) return null;
  const indent = indentOf(lines[at]);
  const close = new RegExp(`^ {0,3}\\${open[1][0]}{${open[1].length},}\\s*$`);
  const code = [];
  let end = at + 1;
  while (end < lines.length && !close.test(lines[end])) {
    code.push(lines[end].slice(Math.min(indent, indentOf(lines[end]))));
    end += 1;
  }
  const closed = end < lines.length;
  return { block: { kind: "code", closed, language: open[2].trim().split(/[\s{]/, 1)[0], code: code.join("\n") },
           end: Math.min(end + 1, lines.length) };
}

function readHeading(lines, at) {
  const found = heading.exec(lines[at]);
  if (!found) return null;
  let text = lines[at].slice(found[0].length).trim();
  const closing = text.lastIndexOf(" ");
  if (/^#+$/.test(text.slice(closing + 1))) text = text.slice(0, Math.max(closing, 0)).trimEnd();
  return { block: { kind: "heading", level: found[1].length, text }, end: at + 1 };
}

function readRule(lines, at) {
  return rule.test(lines[at]) ? { block: { kind: "rule" }, end: at + 1 } : null;
}

function readQuote(lines, at, depth) {
  if (!quote.test(lines[at])) return null;
  const inner = [];
  let end = at;
  while (end < lines.length && (quote.test(lines[end]) || (inner.at(-1)?.trim() && continuesParagraph(lines, end)))) {
    inner.push(lines[end].replace(quote, ""));
    end += 1;
  }
  return { block: { kind: "quote", blocks: parseBlocks(inner, depth + 1) }, end };
}

function readList(lines, at, depth) {
  const first = item.exec(lines[at]);
  if (!first || first[1].length > 3) return null;
  const ordered = /\d/.test(first[2]);
  const mark = first[2].at(-1);
  const items = [];
  let loose = false;
  let end = at;
  while (end < lines.length) {
    const found = item.exec(lines[end]);
    if (!found || found[2].at(-1) !== mark || (ordered !== /\d/.test(found[2])) || rule.test(lines[end])) break;
    const read = readItem(lines, end, found);
    items.push({ task: read.task, blocks: parseBlocks(read.lines, depth + 1) });
    loose ||= read.loose || (read.blankAfter && item.test(lines[read.end] ?? ""));
    end = read.end;
  }
  return { block: { kind: "list", ordered, start: ordered ? parseInt(first[2], 10) : 1, loose, items }, end };
}

// Models indent what belongs to an item by its text or by two columns; both are taken.
function readItem(lines, at, found) {
  const column = found[1].length + found[2].length + (found[3]?.length ?? 1);
  const enough = Math.min(column, found[1].length + 2);
  const task = /^\[([ xX])\]\s+/.exec(lines[at].slice(found[0].length));
  const own = [lines[at].slice(found[0].length + (task?.[0].length ?? 0))];
  let end = at + 1;
  let strip = column;
  let blanks = 0;
  let loose = false;
  while (end < lines.length) {
    const line = lines[end];
    if (!line.trim()) {
      blanks += 1;
    } else if (indentOf(line) >= enough || (!blanks && continuesParagraph(lines, end) && !fence.test(own[0]))) {
      loose ||= blanks > 0 && !item.test(line) && !fence.test(line.trimStart());
      for (; blanks > 0; blanks -= 1) own.push("");
      if (own.length === 1) strip = Math.min(column, Math.max(enough, indentOf(line)));
      own.push(line.slice(Math.min(strip, indentOf(line))));
    } else {
      break;
    }
    end += 1;
  }
  return { lines: own, end, loose, blankAfter: blanks > 0, task: task ? task[1] !== " " : null };
}

function cells(line) {
  return line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replace(/\\\|/g, "|"));
}

function readTable(lines, at) {
  if (!lines[at].includes("|") || !lines[at + 1]?.includes("-")) return null;
  const head = cells(lines[at]);
  const rules = cells(lines[at + 1]);
  if (head.length !== rules.length || !rules.every((cell) => /^:?-+:?$/.test(cell))) return null;
  const align = rules.map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "centre" : "right") : "left"));
  const rows = [];
  let end = at + 2;
  while (end < lines.length && lines[end].trim() && (lines[end].includes("|") || continuesParagraph(lines, end))) {
    rows.push(cells(lines[end]).slice(0, head.length));
    end += 1;
  }
  return { block: { kind: "table", head, align, rows }, end };
}

/** Whether a line goes on a paragraph above it, that is, begins no other block. */
function continuesParagraph(lines, at) {
  const line = lines[at];
  const list = item.exec(line);
  return Boolean(line.trim()) && !fence.test(line) && !heading.test(line) && !rule.test(line) && !quote.test(line)
    && !(list && list[3]);
}

function readParagraph(lines, at, plain) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim()
         && (plain || (continuesParagraph(lines, end) && !readTable(lines, end)))) {
    if (!plain && underline.test(lines[end])) break;
    end += 1;
  }
  const text = lines.slice(at, end).join("\n").trim();
  const under = !plain && underline.exec(lines[end] ?? "");
  if (under) return { block: { kind: "heading", level: under[1][0] === "=" ? 1 : 2, text }, end: end + 1 };
  return { block: { kind: "paragraph", text }, end };
}

function renderBlock(block) {
  switch (block.kind) {
    case "code": return renderCode(block);
    // The page's own title is the first level, so a text's headings begin below it.
    case "heading": return el(`h${Math.min(block.level + 1, 6)}`, null, inlineNodes(block.text));
    case "rule": return el("hr");
    case "quote": return el("blockquote", null, block.blocks.map(renderBlock));
    case "list": return renderList(block);
    case "table": return renderTable(block);
    default: return el("p", null, inlineNodes(block.text));
  }
}

function renderList({ ordered, start, loose, items }) {
  const rendered = items.map(({ task, blocks }) => {
    const body = blocks.flatMap((block) => (
      !loose && block.kind === "paragraph" ? [...inlineNodes(block.text).childNodes] : [renderBlock(block)]));
    if (task === null) return el("li", null, body);
    return el("li", { class: "task" }, el("input", { type: "checkbox", disabled: true, checked: task,
                                                     "aria-label": task ? "Done" : "Not done" }), body);
  });
  return el(ordered ? "ol" : "ul", ordered && start !== 1 ? { start } : null, rendered);
}

function renderTable({ head, align, rows }) {
  const cell = (tag, text, column) => el(tag, { class: `align-${align[column]}`, scope: tag === "th" && "col" },
                                         inlineNodes(text));
  return el("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Table" },
    el("table", null,
      el("thead", null, el("tr", null, head.map((text, column) => cell("th", text, column)))),
      el("tbody", null, rows.map((row) => el("tr", null, head.map((_, column) => cell("td", row[column] ?? "", column)))))));
}

function renderCode({ language, code }) {
  const name = languageName(language);
  return el("figure", { class: "code" },
    el("figcaption", null, el("span", null, name || "text"), copyButton("Copy code", () => code)),
    el("pre", { tabindex: 0, "aria-label": `${name || "Plain"} code` }, el("code", null, highlight(code, language))));
}
