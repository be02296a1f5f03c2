// Requests to the device, and what goes wrong with them, in words.

export class Failure extends Error {
  constructor(what, hint = "", code = "") {
    super(what);
    this.hint = hint;
    this.code = code;
  }
}

/** The device does not answer at all. */
export class Lost extends Failure {}

const PATIENCE_MS = 20000;

export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    throw new Lost("The device does not answer.");
  }
  if (response.ok) return response;
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // Not ours: the status has to do.
  }
  throw new Failure(error.what ?? `The device says ${response.status}.`, error.hint, error.code);
}

export async function askJson(path, options) {
  const response = await ask(path, options);
  try {
    return { data: await response.json(), headers: response.headers };
  } catch {
    throw new Lost("The answer broke off.");
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves once the page is visible again. */
export function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true });
  });
}
