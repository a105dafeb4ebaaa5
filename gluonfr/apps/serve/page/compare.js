// The similarity of the faces on two photos.

import { ask } from "./api.js";
import { count, $, make, place, showMessage } from "./dom.js";

const WORDS = ["first", "second"];

export function setUpCompare(most) {
  WORDS.forEach((word) => $(`#${word}`).addEventListener("change", () => preview(word)));
  $("#compare-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const [first, second] = WORDS.map((word) => $(`#${word}`).files[0]);
    clear();
    if (first.size > most() || second.size > most()) {
      showMessage("compare", "", `A file is larger than ${Math.round(most() / 1e6)} MB; choose a smaller photo.`);
      return;
    }
    showMessage("compare", "Comparing …");
    const waits = () => showMessage("compare", "The server is busy; the photos are waiting …");
    try {
      const params = { first: first.size };
      show(await ask("/api/compare", { method: "POST", params, body: new Blob([first, second]), waits }));
    } catch (error) {
      showMessage("compare", "", error.message);
    }
  });
}

const slotOf = (word) => $(`#${word}`).closest(".slot");

function clear() {
  showMessage("compare", "");
  $("#compare-means").replaceChildren();
  document.querySelectorAll("#compare .mark").forEach((mark) => mark.remove());
  document.querySelectorAll("#compare figcaption").forEach((caption) => caption.replaceChildren());
}

function preview(word) {
  clear();
  const [file] = $(`#${word}`).files;
  const [figure, image] = [slotOf(word).querySelector("figure"), slotOf(word).querySelector("img")];
  if (image.src) URL.revokeObjectURL(image.src);
  figure.hidden = !file;
  if (file) image.src = URL.createObjectURL(file);
}

function show(answer) {
  const accepted = answer.thresholds.filter((threshold) => threshold.accepted).length;
  const same = answer.thresholds.length === 0 ? "" : accepted === answer.thresholds.length ? ": the same person" : accepted ? ": perhaps the same person" : ": not the same person";
  showMessage("compare", `Similarity ${answer.similarity.toFixed(4)}${same} (${answer.network}).`);
  $("#compare-means").replaceChildren(...answer.meaning.map((line) => make("li", { textContent: line })));
  WORDS.forEach((word) => {
    const taken = answer[word];
    slotOf(word).querySelector(".frame").append(place(make("div", { className: "mark" }), taken.box, taken));
    if (taken.faces > 1) {
      const doubt = taken.ambiguous ? "; another face could be meant" : "";
      slotOf(word).querySelector("figcaption").textContent = `Of ${count(taken.faces, "face", "faces")} the marked one was used${doubt}.`;
    }
  });
}
