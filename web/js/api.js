// The server's API: models, streamed chat, the arena's votes. Every failure is an ApiError that says what to do.
import { apiKey } from "/js/preferences.js";

/** `status` 0: the server could not be reached, or the connection broke. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = null, retryAfter = 0 } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

const unreachable = "The server cannot be reached. Is it still running?";

async function call(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (apiKey()) headers.Authorization = `Bearer ${apiKey()}`;
  let response;
  try {
    response = await fetch(path, { method, headers, signal, cache: "no-store",
                                   body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(unreachable);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function failure(response) {
  let detail = null;
  try {
    const body = await response.json();
    detail = body.error ?? body.detail?.error ?? null;
  } catch {
    // Not the API's own answer (a proxy's page, say): the status has to do.
  }
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  let message = detail?.message || `The server answered ${response.status} ${response.statusText}.`;
  if (response.status === 401) message = apiKey() ? "The server refused this API key." : "The server asks for an API key.";
  if (response.status === 503 && retryAfter) message += ` Try again in ${retryAfter} s.`;
  return new ApiError(message, { status: response.status, code: detail?.code ?? null, retryAfter });
}

async function json(path, options) {
  const response = await call(path, options);
  try {
    return await response.json();
  } catch {
    throw new ApiError(`The server's answer from ${path} is not JSON. Is this page served by fettle?`);
  }
}

/** What can answer: [{id, parent, context}]; `parent` is the base of an adapter, else null. */
export async function listModels() {
  const { data } = await json("/v1/models");
  return (data ?? []).map((model) => ({ id: String(model.id), parent: model.parent ?? null,
                                        context: model.max_model_len ?? null,
                                        sampling: model.default_sampling ?? {} }));
}

/** The data fields of a server-sent event stream, one string an event. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      buffer += value;
      // A trailing CR may be half of CRLF; it waits for what follows.
      const lines = buffer.split(/\r\n|\n|\r(?!$)/);
      buffer = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield data.join("\n");
          data = [];
        } else if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Counts and times of one answer; `tokens` is the server's count where it has come, else the pieces so far. */
class Meter {
  constructor() {
    this.started = performance.now();
    this.first = null;
    this.last = null;
    this.pieces = 0;
    this.usage = null;
    this.timings = null;  // the server's own: pieces that wait on their way arrive all at once
  }

  piece() {
    this.last = performance.now();
    this.first ??= this.last;
    this.pieces += 1;
  }

  read() {
    const tokens = this.usage?.completion_tokens ?? this.pieces;
    const arrival = this.first === null ? 0 : (this.last - this.first) / 1000;
    const seconds = this.timings ? this.timings.total_seconds - this.timings.first_token_seconds : arrival;
    return {
      tokens,
      exact: this.usage !== null,
      promptTokens: this.usage?.prompt_tokens ?? null,
      firstSeconds: this.first === null ? null : (this.first - this.started) / 1000,
      // The first token's time is the prompt's; speed is that of the tokens after it.
      perSecond: tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : null,
    };
  }
}

/**
 * Streams one answer. `onText(text, stats)` gets the whole text so far. Returns {text, finish, stats}; finish
 * is the server's reason, or "stopped" when `signal` ended it. Throws ApiError; its `partial` is the text so far.
 */
export async function streamChat(request, { signal, onText }) {
  const meter = new Meter();
  let text = "";
  let finish = null;
  let thinking = false;
  try {
    const response = await call("/v1/chat/completions", {
      method: "POST", signal,
      body: { ...request, stream: true, stream_options: { include_usage: true } },
    });
    for await (const data of events(response.body)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(chunk.error.message ?? "The server broke off.", { status: 500 });
      if (chunk.usage) meter.usage = chunk.usage;
      if (chunk.timings) meter.timings = chunk.timings;
      const choice = chunk.choices?.[0];
      const { reasoning_content: thought, content } = choice?.delta ?? {};
      if (thought || content) {
        // Thoughts stand in front of the answer, between the marks that models write.
        if (thought) text += (thinking ? "" : "<think>\n") + thought;
        if (content) text += (thinking && !thought ? "\n</think>\n\n" : "") + content;
        thinking = Boolean(thought);
        meter.piece();
        onText(text, meter.read());
      }
      finish = choice?.finish_reason ?? finish;
    }
    if (finish === null) throw new ApiError("The connection ended before the answer did.");
    return { text, finish, stats: meter.read() };
  } catch (error) {
    if (signal?.aborted) return { text, finish: "stopped", stats: meter.read() };
    const known = error instanceof ApiError ? error
      : new ApiError(error instanceof SyntaxError ? "The server sent an event that is not JSON." : unreachable);
    known.partial = text;
    throw known;
  }
}

export function sendVote(vote) {
  return json("/v1/arena/votes", { method: "POST", body: vote });
}

export function winTable() {
  return json("/v1/arena/table");
}

/** The votes as JSON lines of prompt, chosen, rejected. */
export async function preferenceRows() {
  return (await call("/v1/arena/votes/export")).text();
}
