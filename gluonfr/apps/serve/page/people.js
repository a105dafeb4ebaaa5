// The list of people, and changes to them and their photos.

import { ask } from "./api.js";
import { count, $, make, named, showMessage, visible } from "./dom.js";

const PART = 200;
const PAUSE = 200;
let limit = PART;
let asked = 0;
let timer;
let changed = () => {};

/** Call `call` after a change. */
export function onChanged(call) {
  changed = call;
}

/** Update the list. */
export async function list() {
  const mine = ++asked;
  const containing = $("#containing").value;
  const answer = await ask("/api/people", { params: { containing, limit } });
  if (mine !== asked) return;
  const focused = document.activeElement?.closest?.("#people-list") ? document.activeElement.dataset.key : null;
  $("#people-list").replaceChildren(...answer.people.map(row));
  if (focused) [...document.querySelectorAll("#people-list button")].find((button) => button.dataset.key === focused)?.focus();
  $("#names").replaceChildren(...answer.people.map((person) => make("option", { value: person.name })));
  $("#people-more").hidden = answer.people.length >= answer.matching;
  const shown = answer.people.length < answer.matching ? `; ${answer.people.length} are shown` : "";
  const empty = containing ? "No name contains this." : "The gallery is empty: choose a photo and enroll its faces.";
  showMessage("people", answer.matching ? `${count(answer.matching, "person", "people")}${shown}.` : empty);
}

/** A button that belongs to a person or a photo. */
function button(text, of, call) {
  const made = make("button", { type: "button", className: "small" }, text);
  made.setAttribute("aria-label", `${text} ${visible(of)}`);
  made.dataset.key = `${text} ${of}`;
  made.addEventListener("click", call);
  return made;
}

function row(person) {
  const item = make("li", {});
  const words = make("span", { className: "who" }, named(person.name), " ", make("span", { className: "quiet small" }, count(person.photos, "photo", "photos")));
  const actions = { Photos: () => showPhotos(person, item), Rename: () => rename(person), Merge: () => merge(person), Delete: () => remove(person) };
  const buttons = Object.entries(actions).map(([text, call]) => button(text, person.name, call));
  item.append(words, make("span", { className: "row" }, ...buttons));
  return item;
}

/** Show or hide the photos of a person below the name. */
async function showPhotos({ name }, item) {
  const shown = item.querySelector("ul");
  if (shown) {
    shown.remove();
    return;
  }
  try {
    const { photos } = await ask("/api/people/photos", { params: { name } });
    item.append(make("ul", { className: "photos" }, ...photos.map((photo) => photoRow(name, photo))));
  } catch (error) {
    showMessage("people", "", error.message);
  }
}

function photoRow(name, { id, source }) {
  const label = source || id.slice(0, 16);
  const buttons = [button("Move", label, () => movePhoto(name, id, label)), button("Remove", label, () => removePhoto(name, id, label))];
  return make("li", {}, make("span", { className: "who small" }, named(label)), make("span", { className: "row" }, ...buttons));
}

const rename = ({ name }) =>
  dialog("Rename", ["", named(name), " gets another name."], "New name", name, async (wanted) => {
    const done = await ask("/api/people/rename", { method: "POST", params: { name, new: wanted } });
    return withRest(`${visible(name)} is now ${visible(wanted)}.`, done);
  });

const merge = ({ name }) =>
  dialog("Merge", ["All photos of ", named(name), " are moved to another name of the same person."], "Name of the same person", "", async (into) => {
    const done = await ask("/api/people/merge", { method: "POST", params: { name, into } });
    return withRest(`${count(done.photos, "photo", "photos")} of ${visible(name)} moved to ${visible(into)}.`, done);
  });

const remove = ({ name, photos }) =>
  dialog("Delete", ["", named(name), ` and the data of ${count(photos, "photo", "photos")} are erased.`], null, "", async () => {
    const done = await ask("/api/people", { method: "DELETE", params: { name } });
    return withRest(`${visible(name)} is deleted.`, done);
  });

const movePhoto = (name, photo, label) =>
  dialog("Move", ["The photo ", named(label), " is moved from ", named(name), " to another person."], "Name of the person", "", async (into) => {
    const done = await ask("/api/people/photos/move", { method: "POST", params: { name, photo, into } });
    return withRest(`1 photo of ${visible(name)} moved to ${visible(into)}.`, done);
  });

const removePhoto = (name, photo, label) =>
  dialog("Remove", ["The data of the photo ", named(label), " of ", named(name), " are erased."], null, "", async () => {
    const done = await ask("/api/people/photos", { method: "DELETE", params: { name, photo } });
    return withRest(`1 photo of ${visible(name)} is removed.`, done);
  });

/** Add where old bytes are left. */
const withRest = (words, { left }) => (left ? `${words} ${left}` : words);

/** Ask for a name or a confirmation, and run the action; the dialog stays open after an error. */
function dialog(action, text, field, value, work) {
  const opener = document.activeElement;
  $("#dialog-title").textContent = action;
  $("#dialog-text").replaceChildren(...text);
  $("#dialog-field").hidden = field === null;
  $("#dialog-label").textContent = field ?? "";
  $("#dialog-error").textContent = "";
  $("#dialog-do").textContent = action;
  const input = $("#dialog-name");
  input.value = value;
  input.required = field !== null;
  if (action === "Merge" || action === "Move") input.setAttribute("list", "names");
  else input.removeAttribute("list");
  const box = $("#dialog");
  box.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    $("#dialog-do").disabled = true;
    try {
      const words = await work(input.value);
      box.close();
      await changed();
      showMessage("people", words);
      $("#people-title").focus();
    } catch (error) {
      $("#dialog-error").textContent = error.message;
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
    showMessage("people", "", error.message);
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
