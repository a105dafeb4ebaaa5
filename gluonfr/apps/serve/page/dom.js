// Elements of the page. What people wrote becomes text and never markup.

export const $ = (selector) => document.querySelector(selector);

/** An element with properties, and children that are elements or text. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A person's name, apart from the text around it, whichever way it is written. */
export const named = (text) => make("bdi", { textContent: text });

/** Say something below a part of the page: what it does (#PART-said) or what is wrong (#PART-wrong), which is read out. */
export function say(part, said, wrong = "") {
  $(`#${part}-said`).textContent = said;
  $(`#${part}-wrong`).textContent = wrong;
}

/** Lay a box, in pixels of a picture, over the frame of that picture. */
export function place(element, [x0, y0, x1, y1], { width, height }) {
  const within = (value, most) => `${(100 * Math.min(Math.max(value, 0), most)) / most}%`;
  Object.assign(element.style, { left: within(x0, width), top: within(y0, height) });
  Object.assign(element.style, { right: within(width - x1, width), bottom: within(height - y1, height) });
  return element;
}

export const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
