// Requests to the API, the token, and error messages.

import { $ } from "./dom.js";

const KEY = "gluonfr-token";
const TRIES = 8;
let door = null;

// A link may contain the token after the #, which browsers do not send.
const linked = new URLSearchParams(location.hash.slice(1)).get("token");
if (linked) {
  sessionStorage.setItem(KEY, linked);
  history.replaceState(null, "", location.pathname);
}

/** Return the response; throw an Error with one sentence if the server refuses. `waits` is called while it is busy. */
export async function ask(path, { method = "GET", params = {}, body, waits } = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== null);
  const address = `${path}?${new URLSearchParams(given)}`;
  for (let tries = 1; ; tries++) {
    const response = await send(address, method, body);
    if (response.status === 401) {
      await requestToken();
      tries = 0;
    } else if (response.status === 429 && tries < TRIES) {
      waits?.();
      await new Promise((done) => setTimeout(done, 1000 * (Number(response.headers.get("Retry-After")) || 1)));
    } else {
      return await read(response);
    }
  }
}

async function send(address, method, body) {
  const token = sessionStorage.getItem(KEY);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body) headers["Content-Type"] = "application/octet-stream";
  try {
    return await fetch(address, { method, body, headers, cache: "no-store", redirect: "error" });
  } catch {
    throw new Error("The server does not answer; check whether it is running.");
  }
}

async function read(response) {
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new Error(`The server answered with status ${response.status} only; try again.`);
  }
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/** Show the form for the token, and wait until it is submitted. */
function requestToken() {
  door ??= new Promise((opened) => {
    const form = $("#door");
    if (sessionStorage.getItem(KEY)) $("#door-why").textContent = "The server has another token; enter that one.";
    form.hidden = false;
    $("#token").focus();
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(KEY, $("#token").value.trim());
      $("#token").value = "";
      form.hidden = true;
      door = null;
      opened();
    };
  });
  return door;
}
