// Who is enrolled: the list, and what can be done with a person.

import { ask } from "./api.js";
import { count, $, make, named, say } from "./dom.js";

const PART = 200;
const PAUSE = 200;
let limit = PART;
let asked = 0;
let timer;
let changed = () => {};

/** Call `call` when a person was renamed, merged or deleted. */
export function onChanged(call) {
  changed = call;
}

/** The list as it is now. */
export async function list() {
  const mine = ++asked;
  const containing = $("#containing").value;
  const answer = await ask("/api/people", { params: { containing, limit } });
  if (mine !== asked) return;
  const focused = document.activeElement?.closest?.("#people-list") ? document.activeElement.dataset.key : null;
  $("#people-list").replaceChildren(...answer.people.map(row));
  if (focused) [...document.querySelectorAll("#people-list button")].find((each) => each.dataset.key === focused)?.focus();
  $("#names").replaceChildren(...answer.people.map((person) => make("option", { value: person.name })));
  $("#people-more").hidden = answer.people.length >= answer.matching;
  const shown = answer.people.length < answer.matching ? `; ${answer.people.length} are shown` : "";
  const empty = containing ? "Nobody's name contains that." : "Nobody is enrolled yet: choose a photo and say who is on it.";
  say("people", answer.matching ? `${count(answer.matching, "person", "people")}${shown}.` : empty);
}

function row(person) {
  const button = (text, call) => {
    const made = make("button", { type: "button", className: "small" }, text);
    made.setAttribute("aria-label", `${text} ${person.name}`);
    made.dataset.key = `${text} ${person.name}`;
    made.addEventListener("click", call);
    return made;
  };
  const words = make("span", { className: "who" }, named(person.name), " ", make("span", { className: "quiet small" }, count(person.photos, "photo", "photos")));
  const buttons = [button("Rename", () => rename(person)), button("Merge", () => merge(person)), button("Delete", () => remove(person))];
  return make("li", {}, words, make("span", { className: "row" }, ...buttons));
}

const rename = ({ name }) =>
  dialog("Rename", ["", named(name), " gets another name."], "New name", name, async (wanted) => {
    const done = await ask("/api/people/rename", { method: "POST", params: { name, new: wanted } });
    return told(`${name} is now ${wanted}.`, done);
  });

const merge = ({ name }) =>
  dialog("Merge", ["All photos of ", named(name), " go to somebody who is the same person."], "Name of the same person", "", async (into) => {
    const done = await ask("/api/people/merge", { method: "POST", params: { name, into } });
    return told(`${count(done.photos, "photo", "photos")} of ${name} went to ${into}.`, done);
  });

const remove = ({ name, photos }) =>
  dialog("Delete", ["", named(name), ` and what is known from ${count(photos, "photo", "photos")} are erased for good.`], null, "", async () => {
    const done = await ask("/api/people", { method: "DELETE", params: { name } });
    return told(`${name} is deleted.`, done);
  });

const told = (words, { left }) => (left ? `${words} ${left}` : words);

/** Ask for a name or a yes, and do it; the dialog stays open while something is wrong. */
function dialog(action, text, field, value, work) {
  const opener = document.activeElement;
  $("#dialog-title").textContent = action;
  $("#dialog-text").replaceChildren(...text);
  $("#dialog-field").hidden = field === null;
  $("#dialog-label").textContent = field ?? "";
  $("#dialog-wrong").textContent = "";
  $("#dialog-do").textContent = action;
  const input = $("#dialog-name");
  input.value = value;
  input.required = field !== null;
  if (action === "Merge") input.setAttribute("list", "names");
  else input.removeAttribute("list");
  const box = $("#dialog");
  box.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    $("#dialog-do").disabled = true;
    try {
      const words = await work(input.value);
      box.close();
      await changed();
      say("people", words);
      $("#people-title").focus();
    } catch (error) {
      $("#dialog-wrong").textContent = error.message;
    } finally {
      $("#dialog-do").disabled = false;
    }
  };
  $("#dialog-cancel").onclick = () => box.close();
  box.onclose = () => opener?.focus();
  box.showModal();
  (field === null ? $("#dialog-cancel") : input).focus();
  input.select();
}

async function again() {
  try {
    await list();
  } catch (error) {
    say("people", "", error.message);
  }
}

$("#containing").addEventListener("input", () => {
  limit = PART;
  clearTimeout(timer);
  timer = setTimeout(again, PAUSE);
});
$("#people-more").addEventListener("click", () => {
  limit += PART;
  again();
});
