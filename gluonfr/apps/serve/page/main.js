// Connects the parts of the page and keeps them up to date.

import { ask } from "./api.js";
import { setUpCamera } from "./camera.js";
import { setUpCompare } from "./compare.js";
import { count, $ } from "./dom.js";
import { look, onEnrolled, rename } from "./look.js";
import { list, onChanged } from "./people.js";
import { onThreshold, refresh } from "./threshold.js";

const EVERY = 4000;
let most = Infinity;
let seen = "";

/** Update the state of the gallery, and lists and threshold if another program has changed it, or `always`. */
async function follow(always) {
  try {
    const state = await ask("/api/gallery");
    most = state.most_bytes;
    $("#state").textContent =
      `Network ${state.network}; ${count(state.people, "person", "people")} with ${count(state.photos, "photo", "photos")} in ${state.file}.`;
    if (always || state.version !== seen) await Promise.all([list(), refresh()]);
    seen = state.version;
    $("#trouble").hidden = true;
  } catch (error) {
    $("#trouble").textContent = error.message;
    $("#trouble").hidden = false;
  }
}

async function watch() {
  if (!document.hidden) await follow(false);
  setTimeout(watch, EVERY);
}

const show = (file) => look(file, most);
$("#photo").addEventListener("change", (event) => {
  show(event.target.files[0]);
  // The same file may be chosen again.
  event.target.value = "";
});
setUpCamera(show);
setUpCompare(() => most);
onThreshold(rename);
onEnrolled(() => follow(true));
onChanged(() => follow(true));

const drop = $("#look");
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("#drop").classList.add("over");
});
drop.addEventListener("dragleave", () => $("#drop").classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  $("#drop").classList.remove("over");
  show([...event.dataTransfer.files].find(Boolean));
});
// A photo that is dropped elsewhere must not replace the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
addEventListener("focus", () => follow(true));
follow(true).then(watch);
