// Conversations in the browser's IndexedDB; where there is none they live as long as the page.
// Each is one object in memory: whoever asks for an id gets the same one, so a stream that goes on in the
// background writes where the screen reads.

const opened = new Map();
const channel = "BroadcastChannel" in window ? new BroadcastChannel("fettle.conversations") : null;
let database = null;
let loaded = false;

function settle(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Returns false where the browser keeps nothing. */
export async function openStore() {
  try {
    const request = indexedDB.open("fettle", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("conversations", { keyPath: "id" });
    database = await settle(request);
    return true;
  } catch {
    return false;
  }
}

function table(mode) {
  return database.transaction("conversations", mode).objectStore("conversations");
}

/** All conversations, the latest first. */
export async function allConversations() {
  if (database && !loaded) {
    loaded = true;
    for (const stored of await settle(table("readonly").getAll())) {
      if (!opened.has(stored.id)) opened.set(stored.id, closeOpenAnswers(stored));
    }
  }
  return [...opened.values()].sort((a, b) => b.updated - a.updated);
}

// An answer that was growing when the page went away will not grow any more.
function closeOpenAnswers(conversation) {
  for (const turn of Object.values(conversation.turns)) {
    if (turn.finish === "streaming") turn.finish = "cut";
  }
  return conversation;
}

export function conversation(id) {
  return opened.get(id) ?? null;
}

/** Writes it down; rejects when the disk is full or the browser refuses. */
export async function save(conversation) {
  opened.set(conversation.id, conversation);
  if (database) await settle(table("readwrite").put(conversation));
  channel?.postMessage({ changed: conversation.id });
}

export async function remove(id) {
  opened.delete(id);
  if (database) await settle(table("readwrite").delete(id));
  channel?.postMessage({ changed: id });
}

/** `listener(id)` runs when another tab changed a conversation; `busy(id)` says which ones to leave alone. */
export function whenChangedElsewhere(busy, listener) {
  channel?.addEventListener("message", async ({ data }) => {
    if (busy(data.changed) || !database) return;
    const stored = await settle(table("readonly").get(data.changed));
    // Another tab may still be writing this answer, so it is shown as it stands.
    if (stored) opened.set(stored.id, stored);
    else opened.delete(data.changed);
    listener(data.changed);
  });
}
