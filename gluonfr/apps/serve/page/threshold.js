// The similarity above which a face gets a name, and what it means for this gallery.

import { ask } from "./api.js";
import { $ } from "./dom.js";

const slider = $("#threshold");
const PAUSE = 150;
let own = false;
let listener = () => {};
let timer;
let asked = 0;

/** The similarity that the user chose, or undefined for the calibrated one. */
export const chosen = () => (own ? Number(slider.value) : undefined);

/** The name of the most similar person if the similarity is above the threshold, else null. */
export const nameOf = (face) => {
  const limit = slider.dataset.none ? Infinity : Number(slider.dataset.exact);
  return face.matches.length && face.matches[0].similarity > limit ? face.matches[0].name : null;
};

/** Call `call` when the threshold changes, with whether the user moved the slider. */
export function onThreshold(call) {
  listener = call;
}

/** Request the calibrated threshold, which changes with the gallery; a threshold that the user chose stays. */
export async function refresh() {
  const mine = ++asked;
  const params = own ? { similarity: slider.value } : {};
  const [low, high, now] = await Promise.all([
    ask("/api/threshold", { params: { fpir: 0.5 } }),
    ask("/api/threshold", { params: { fpir: 0.000001 } }),
    ask("/api/threshold", { params }),
  ]);
  if (mine !== asked) return;
  const known = low.similarity !== null && high.similarity > low.similarity;
  const ends = [...(known ? [low.similarity, high.similarity] : [0, 1]), now.similarity ?? 1];
  slider.min = Math.max(-1, Math.floor(Math.min(...ends) * 100) / 100);
  slider.max = Math.min(1, Math.ceil(Math.max(...ends) * 100) / 100);
  show(now);
}

function show(threshold) {
  const none = threshold.similarity === null;
  const exact = none ? slider.max : threshold.similarity;
  slider.dataset.none = none ? "yes" : "";
  slider.dataset.exact = exact;
  if (!own) slider.value = exact;
  $("#threshold-value").textContent = none ? "–" : Number(exact).toFixed(3);
  slider.setAttribute("aria-valuetext", none ? "no face gets a name" : Number(exact).toFixed(3));
  $("#threshold-means").textContent = none ? withoutThreshold(threshold) : sentence(threshold.meaning);
  $("#threshold-back").hidden = !own;
  listener(false);
}

const withoutThreshold = ({ people }) =>
  people
    ? "No face gets a name: there are too few people to calibrate a threshold. Move the slider to set one, or enroll more people."
    : "No face gets a name, because the gallery is empty.";

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

slider.addEventListener("input", () => {
  own = true;
  slider.dataset.none = "";
  slider.dataset.exact = slider.value;
  $("#threshold-value").textContent = Number(slider.value).toFixed(3);
  slider.setAttribute("aria-valuetext", Number(slider.value).toFixed(3));
  $("#threshold-back").hidden = false;
  listener(true);
  clearTimeout(timer);
  timer = setTimeout(explain, PAUSE);
});

async function explain() {
  const mine = ++asked;
  try {
    const threshold = await ask("/api/threshold", { params: { similarity: slider.value } });
    if (mine === asked) show(threshold);
  } catch (error) {
    $("#threshold-means").textContent = error.message;
  }
}

$("#threshold-back").addEventListener("click", async () => {
  own = false;
  slider.focus();
  try {
    await refresh();
  } catch (error) {
    $("#threshold-means").textContent = error.message;
  }
});
