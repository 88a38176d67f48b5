// Building the page. Text enters as text nodes only, so nothing that a model or a file says is parsed as HTML.

/** An element with properties (`class`, `data`, `onclick`, any attribute) and children (nodes, strings, lists). */
export function el(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) setProperty(node, name, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function setProperty(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name === "class") node.className = value;
  else if (name === "data") Object.assign(node.dataset, value);
  else if (name === "value" || name === "checked") node[name] = value;
  else node.setAttribute(name, value === true ? "" : value);
}

// Drawn on a 24 × 24 grid with a round pen.
const strokes = {
  arena: "M4 5h6v14H4zM14 5h6v14h-6z",
  arrowDown: "M12 5v14M6 13l6 6 6-6",
  arrowUp: "M12 19V5M6 11l6-6 6 6",
  check: "M5 12.5l4.5 4.5L19 7.5",
  chevronDown: "M7 10l5 5 5-5",
  chevronLeft: "M14 7l-5 5 5 5",
  chevronRight: "M10 7l5 5-5 5",
  close: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  copy: "M9 9h10v10H9zM15 9V5H5v10h4",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  edit: "M5 19l1-4L16.5 4.5l3 3L9 18zM14.5 6.5l3 3",
  key: "M8 18a4 4 0 1 1 3.5-6H20v3h-2.5v2H15v-2h-3.5A4 4 0 0 1 8 18z",
  keyboard: "M3 7h18v10H3zM7 10.5h.01M10.5 10.5h.01M14 10.5h.01M17 10.5h.01M8 14h8",
  menu: "M5 7h14M5 12h14M5 17h14",
  moon: "M19 14.5A7.5 7.5 0 0 1 9.5 5 7.5 7.5 0 1 0 19 14.5z",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01",
  plus: "M12 5v14M5 12h14",
  redo: "M19 5v5h-5M19 10a7.5 7.5 0 1 0 .5 4",
  search: "M11 17a6 6 0 1 1 0-12 6 6 0 0 1 0 12zM15.5 15.5L20 20",
  stop: "M8 8h8v8H8z",
  sun: "M12 16a4 4 0 1 1 0-8 4 4 0 0 1 0 8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  table: "M4 6h16M4 12h10M4 18h13",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12M10.5 11v5M13.5 11v5",
  tune: "M4 8h8M18 8h2M4 16h2M12 16h8M15 10.5a2.5 2.5 0 1 1 0-5 2.5 2.5 0 0 1 0 5zM9 18.5a2.5 2.5 0 1 1 0-5 2.5 2.5 0 0 1 0 5z",
  upload: "M12 15V4M7 9l5-5 5 5M5 20h14",
  warning: "M12 4.5l9 15.5H3zM12 10.5v4M12 17.2h.01",
};

/** A picture that screen readers skip; the control around it carries the name. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", strokes[name]);
  svg.append(path);
  return svg;
}

/** A button that shows a picture and says `label` to screen readers and on hover. */
export function iconButton(name, label, onclick, properties = {}) {
  return el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick,
                        ...properties }, icon(name));
}

/** Copies text; pages that are not served over TLS or loopback have no clipboard API, so the old way remains. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { class: "hidden-text", "aria-hidden": "true", value: text });
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return copied;
  }
}

/** A button that copies what `read()` returns and shows that it did. */
export function copyButton(label, read, properties = {}) {
  const button = iconButton("copy", label, async () => {
    const copied = await copyText(read());
    button.replaceChildren(icon(copied ? "check" : "warning"));
    button.setAttribute("aria-label", copied ? "Copied" : "The browser refused to copy");
    setTimeout(() => {
      button.replaceChildren(icon("copy"));
      button.setAttribute("aria-label", label);
    }, 1600);
  }, properties);
  return button;
}

/** Hands a text to the browser as a file to save. */
export function saveFile(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** 128 random bits; crypto.randomUUID is missing on pages without TLS. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
