// Elements of the page. Names and file names become text, never markup.

export const $ = (selector) => document.querySelector(selector);

/** Create an element with properties, and children that are elements or text. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Control characters, invisible characters, and characters that change the direction of the text around them.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const escaped = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;

/** Return a name with its hidden characters as escapes, so that two names that look equal are equal. */
export const visible = (text) => text.replace(HIDDEN, escaped);

/** Create an element with a name, isolated from the direction of the text around it. */
export const named = (text) => make("bdi", { textContent: visible(text) });

/** Show a message below a part of the page: a status (#PART-status) or an error (#PART-error); screen readers read it. */
export function showMessage(part, status, error = "") {
  $(`#${part}-status`).textContent = status;
  $(`#${part}-error`).textContent = error;
}

/** Place a box, in pixels of an image, over the frame of the image. */
export function place(element, [x0, y0, x1, y1], { width, height }) {
  const within = (value, most) => `${(100 * Math.min(Math.max(value, 0), most)) / most}%`;
  Object.assign(element.style, { left: within(x0, width), top: within(y0, height) });
  Object.assign(element.style, { right: within(width - x1, width), bottom: within(height - y1, height) });
  return element;
}

export const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
