"use strict";
(() => {
  const entries = JSON.parse(document.getElementById("steps").textContent);
  const digits = (total) => (total ? Math.max(2, Math.ceil(Math.log10(total)) - 1) : 2);
  const percent = (part, total, places) => (total ? `${((100 * part) / total).toFixed(places)} %` : "–");

  for (const section of document.querySelectorAll("[data-entry]")) {
    const steps = entries[section.dataset.entry];
    const range = section.querySelector("input");
    const mark = section.parentElement.querySelector(".mark");
    const which = section.querySelector('[data-show="which"]').textContent;
    const show = (name, text) => {
      section.querySelector(`[data-show="${name}"]`).textContent = text;
    };

    const update = () => {
      const place = Number(range.value);
      const { genuine, impostors } = steps;
      const counts = { true_accepts: steps.true_accepts[place], false_accepts: steps.false_accepts[place] };
      counts.false_rejects = genuine - counts.true_accepts;
      counts.true_rejects = impostors - counts.false_accepts;
      const totals = { true_accepts: genuine, false_rejects: genuine, false_accepts: impostors, true_rejects: impostors };
      for (const [name, count] of Object.entries(counts)) {
        show(name, count.toLocaleString("en-US"));
        show(`${name}_share`, percent(count, totals[name], digits(totals[name])));
      }
      show("accuracy", percent(counts.true_accepts + counts.true_rejects, genuine + impostors, 2));
      show("similarity", steps.similarity[place]);
      show("distance", steps.distance[place]);
      show("which", place === steps.start ? which : "A threshold that you chose.");
      const [low, high] = steps.limits;
      const at = (Number(steps.distance[place]) - low) / (high - low);
      mark.hidden = place === steps.start || at < 0 || at > 1;
      mark.style.left = `${100 * at}%`;
      range.setAttribute(
        "aria-valuetext",
        `similarity above ${steps.similarity[place]}: ${counts.false_accepts} false accepts, ${counts.false_rejects} false rejects`,
      );
    };

    range.addEventListener("input", update);
    section.querySelector("button").addEventListener("click", () => {
      range.value = steps.start;
      update();
    });
    section.querySelector(".control").hidden = false;
    update();
  }
})();
