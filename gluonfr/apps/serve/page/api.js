// The server's API: what is asked, the token, and what is wrong in words.

import { $ } from "./dom.js";

const KEY = "gluonfr-token";
const TRIES = 8;
let door = null;

// A link may bring the token behind the #, which browsers send to nobody.
const brought = new URLSearchParams(location.hash.slice(1)).get("token");
if (brought) {
  sessionStorage.setItem(KEY, brought);
  history.replaceState(null, "", location.pathname);
}

/** What the server answers; an Error with one sentence where it refuses. `waits` is called when it is busy. */
export async function ask(path, { method = "GET", params = {}, body, waits } = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== null);
  const address = `${path}?${new URLSearchParams(given)}`;
  for (let tries = 1; ; tries++) {
    const response = await send(address, method, body);
    if (response.status === 401) {
      await atTheDoor();
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
    throw new Error("The server does not answer; see whether it is still running.");
  }
}

async function read(response) {
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new Error(`The server answered with status ${response.status} and no more; try again.`);
  }
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/** Wait until somebody gives the token. */
function atTheDoor() {
  door ??= new Promise((opened) => {
    const form = $("#door");
    if (sessionStorage.getItem(KEY)) $("#door-why").textContent = "This token is not the server's; give another one.";
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
