// Dialogs: the API key, files in and out, the list of keys.
import { el, iconButton, saveFile } from "/js/dom.js";
import { exportLines, importRows } from "/js/exchange.js";
import { toast } from "/js/live.js";
import { apiKey, setApiKey } from "/js/preferences.js";

function openDialog(title, ...children) {
  const dialog = el("dialog", { class: "dialog", "aria-label": title },
    el("header", { class: "panel-head" }, el("h2", null, title), iconButton("close", "Close", () => dialog.close())), ...children);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks for the API key. `saved()` runs once one was entered. */
export function keyDialog(saved) {
  if (document.querySelector("dialog .key-field")) return;
  const field = el("input", { class: "key-field", type: "password", id: "api-key", autocomplete: "off", value: apiKey(), spellcheck: "false" });
  const keep = el("input", { type: "checkbox" });
  const form = el("form", { class: "dialog-body" },
    el("p", null, "This server answers only with a key. Whoever started it has the keys."),
    el("label", { for: "api-key" }, "API key"), field,
    el("label", { class: "check" }, keep, "Keep it in this browser (else until this tab is closed)"),
    el("div", { class: "panel-buttons" }, el("button", { type: "submit", class: "button primary" }, "Use key")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    setApiKey(field.value.trim(), keep.checked);
    dialog.close();
    saved();
  });
  const dialog = openDialog("API key", form);
  field.focus();
}

/** Import and export. `all`: every conversation, `current`: the one on the screen or null, `imported(list)`. */
export function filesDialog({ all, current, imported }) {
  const format = el("select", { id: "file-format" }, el("option", { value: "messages" }, "messages (OpenAI)"),
                    el("option", { value: "sharegpt" }, "ShareGPT"));
  const put = (conversations, name) => {
    const text = exportLines(conversations, format.value);
    if (!text) return toast("There is no answered conversation to export.", { kind: "error" });
    saveFile(`${name}.jsonl`, "application/x-ndjson", text);
    return dialog.close();
  };
  const chooser = el("input", { type: "file", accept: ".jsonl,.json,.ndjson", multiple: true, class: "hidden-text", "aria-label": "Files to import", tabindex: -1 });
  chooser.addEventListener("change", async () => {
    await readFiles(chooser.files, imported);
    dialog.close();
  });
  const dialog = openDialog("Import and export", el("div", { class: "dialog-body" },
    el("h3", null, "Export"),
    el("p", { class: "help" }, "JSON lines that fettle data and fettle train read: of each conversation the branch that is shown."),
    el("label", { for: "file-format" }, "Format"), format,
    el("div", { class: "panel-buttons" },
      el("button", { type: "button", class: "button primary", onclick: () => put(all, "conversations") }, "Export all"),
      current && el("button", { type: "button", class: "button", onclick: () => put([current], "conversation") }, "Export this one")),
    el("h3", null, "Import"),
    el("p", { class: "help" }, "JSON or JSON lines with messages, conversations or items."), chooser,
    el("div", { class: "panel-buttons" }, el("button", { type: "button", class: "button", onclick: () => chooser.click() }, "Choose files"))));
}

async function readFiles(files, imported) {
  for (const file of files) {
    const { conversations, rejected } = importRows(await file.text());
    await imported(conversations);
    const first = rejected[0] ? ` Left out ${rejected.length}: line ${rejected[0].line}, ${rejected[0].reason}.` : "";
    toast(`${file.name}: ${conversations.length} imported.${first}`, { kind: rejected.length ? "error" : "info", seconds: 8 });
  }
}

const keys = [
  ["Enter", "send"],
  ["Shift + Enter", "begin a new line"],
  ["Esc", "stop the answer, close what is open"],
  ["↑ in the empty field", "edit the last message"],
  ["Alt + N", "new chat"],
  ["Alt + R", "answer again"],
  ["Alt + S", "settings"],
  ["/", "go to the message field"],
  ["Ctrl + K", "search conversations"],
  ["1, 2, 3, 4 in the arena", "A, B, tie, both bad"],
  ["?", "this list"],
];

export function shortcutsDialog() {
  openDialog("Keyboard shortcuts", el("dl", { class: "dialog-body keys" }, keys.flatMap(([key, what]) => [
    el("dt", null, el("kbd", null, key)), el("dd", null, what)])));
}
