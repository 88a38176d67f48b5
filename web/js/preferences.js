// Small things this browser remembers: theme, key, the settings that new chats start from.
const listeners = new Map();

export function remember(name, value) {
  try {
    localStorage.setItem(`fettle.${name}`, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing still works; it only forgets.
  }
  for (const listener of listeners.get(name) ?? []) listener(value);
}

export function recall(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(`fettle.${name}`)) ?? fallback;
  } catch {
    return fallback;
  }
}

/** `listener(value)` runs after each remember(name, …) in this tab. */
export function whenChanged(name, listener) {
  listeners.set(name, [...(listeners.get(name) ?? []), listener]);
}

let keyOfThisTab = "";

/** The API key: kept for this tab unless the person asked to keep it in this browser. */
export function apiKey() {
  if (keyOfThisTab) return keyOfThisTab;
  try {
    keyOfThisTab = sessionStorage.getItem("fettle.key") ?? localStorage.getItem("fettle.key") ?? "";
  } catch {
    keyOfThisTab = "";
  }
  return keyOfThisTab;
}

export function setApiKey(key, keep) {
  keyOfThisTab = key;
  try {
    localStorage.removeItem("fettle.key");
    sessionStorage.removeItem("fettle.key");
    if (key) (keep ? localStorage : sessionStorage).setItem("fettle.key", key);
  } catch {
    // As above: the key lasts as long as the page.
  }
}

/** "light", "dark" or "system". */
export function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  remember("theme", theme);
}
