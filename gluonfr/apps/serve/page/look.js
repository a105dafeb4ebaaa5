// The people on a photo, and the forms that enroll its faces.

import { ask } from "./api.js";
import { count, $, make, named, place, showMessage, visible } from "./dom.js";
import { chosen, nameOf } from "./threshold.js";

const image = $("#shown");
let photo = null;
let found = null;
let enrolled = () => {};

/** Call `call` after an enrollment. */
export function onEnrolled(call) {
  enrolled = call;
}

/** Show a photo and identify its faces. */
export async function look(file, most) {
  if (!file) return;
  photo = file;
  clear();
  if (file.size > most) {
    showMessage("look", "", `The file is larger than ${Math.round(most / 1e6)} MB; choose a smaller photo.`);
    return;
  }
  await showImage(file);
  if (await identify(file)) showMessage("look", summary());
}

async function identify(file) {
  showMessage("look", "Looking for faces …");
  const waits = () => showMessage("look", "The server is busy; this photo is waiting …");
  try {
    const answer = await ask("/api/identify", { method: "POST", params: { similarity: chosen() }, body: file, waits });
    // Another photo may have been chosen meanwhile.
    if (file !== photo) return false;
    found = answer;
    draw();
    return true;
  } catch (error) {
    if (file === photo) showMessage("look", "", error.message);
    return false;
  }
}

function clear() {
  found = null;
  $("#picture").hidden = true;
  $("#boxes").replaceChildren();
  $("#faces").replaceChildren();
  showMessage("look", "");
}

async function showImage(file) {
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    if (file === photo) $("#picture").hidden = false;
  } catch {
    // The server may read formats that the browser does not show; names are listed anyway.
  }
}

function summary() {
  const known = found.faces.filter((face) => nameOf(face) !== null).length;
  const faces = found.faces.length;
  const result = faces === 1 ? (known ? "known" : "unknown") : `${known || "none"} of them known`;
  return `${count(faces, "face", "faces")}, ${result} (${found.network}).`;
}

/** Update the names for another threshold; `speak` also updates the summary. */
export function rename(speak) {
  if (!found) return;
  found.faces.forEach((face, index) => {
    const name = nameOf(face);
    const box = $("#boxes").children[index];
    const item = $("#faces").children[index];
    label(box, item, face, name, index);
  });
  if (speak) showMessage("look", summary());
}

function draw() {
  const shown = !$("#picture").hidden;
  $("#boxes").replaceChildren(...found.faces.map((face, index) => boxOf(face, index)));
  $("#faces").replaceChildren(...found.faces.map((face, index) => cardOf(face, index, shown)));
  found.faces.forEach((face, index) => label($("#boxes").children[index], $("#faces").children[index], face, nameOf(face), index));
}

function boxOf(face, index) {
  const box = make("button", { type: "button", className: "box" }, make("span"));
  box.classList.toggle("right", face.box[0] > found.width * 0.6);
  box.classList.toggle("low", face.box[3] > found.height * 0.88);
  box.addEventListener("click", () => $(`#enroll-${index}`).focus());
  return place(box, face.box, found);
}

function cardOf(face, index, shown) {
  const input = make("input", { type: "text", id: `enroll-${index}`, maxLength: 200, autocomplete: "off", required: true });
  input.setAttribute("list", "names");
  input.dataset.untouched = "yes";
  input.addEventListener("input", () => delete input.dataset.untouched);
  const form = make("form", {}, make("label", { htmlFor: input.id }), make("div", { className: "row" }, input, make("button", {}, "Enroll")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    enroll(face, index, input.value, form);
  });
  const words = make("div", {}, make("h3"), make("p", { className: "quiet small" }));
  return make("li", { className: "card", tabIndex: -1 }, thumbnail(face, shown), words, form);
}

function label(box, item, face, name, index) {
  const [best] = face.matches;
  const score = best ? ` ${best.similarity.toFixed(3)}` : "";
  box.classList.toggle("known", name !== null);
  box.firstChild.replaceChildren(`${index + 1} `, named(name ?? "unknown"));
  box.setAttribute("aria-label", `Face ${index + 1}: ${visible(name ?? "unknown")}${name ? score : ""}`);
  item.classList.toggle("known", name !== null);
  item.querySelector("h3").replaceChildren(`${index + 1}. `, named(name ?? "Unknown"));
  const listed = face.matches.flatMap((match) => [", ", named(match.name), ` ${match.similarity.toFixed(3)}`]).slice(1);
  item.querySelector("p").replaceChildren(...(listed.length ? ["Most similar: ", ...listed] : ["There is no enrolled person yet"]));
  const input = item.querySelector("input");
  if (input.dataset.untouched) input.value = name ?? "";
  item.querySelector("label").textContent = name === null ? `Who is face ${index + 1}?` : `Enroll face ${index + 1} with this photo too, as`;
}

function thumbnail(face, shown) {
  const canvas = make("canvas", { width: 144, height: 144 });
  canvas.setAttribute("aria-hidden", "true");
  if (shown) {
    const scale = image.naturalWidth / found.width;
    const [x0, y0, x1, y1] = face.box.map((side) => side * scale);
    const side = 1.25 * Math.max(x1 - x0, y1 - y0);
    canvas.getContext("2d").drawImage(image, (x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side, side, 0, 0, 144, 144);
  }
  return canvas;
}

async function enroll(face, index, name, form) {
  const button = form.querySelector("button");
  const file = photo;
  button.disabled = true;
  showMessage("look", "Enrolling …");
  try {
    const params = { name, box: face.box.join(","), source: file.name.slice(0, 200) };
    const { new: added, warning } = await ask("/api/people", { method: "POST", params, body: file });
    await enrolled();
    if (file !== photo) return;
    const again = await identify(file);
    const poor = warning ? ` The face is ${warning}, so it may be confused with other people; a better photo helps.` : "";
    const words = added ? `${visible(name)} is enrolled with this photo.` : `${visible(name)} was enrolled with this photo before.`;
    if (again) showMessage("look", words + poor);
    $("#faces").children[index]?.focus();
  } catch (error) {
    if (file === photo) showMessage("look", "", error.message);
  } finally {
    button.disabled = false;
  }
}
