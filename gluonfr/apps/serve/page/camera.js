// Photos from the camera.

import { $, showMessage } from "./dom.js";

const CAMERA_ERRORS = {
  NotAllowedError: "The browser does not allow the camera; allow it next to the address, or choose a photo.",
  NotFoundError: "There is no camera; choose a photo.",
  NotReadableError: "Another program is using the camera; close it, or choose a photo.",
};
let stream = null;

/** Call `taken` with each photo. */
export function setUpCamera(taken) {
  const video = $("#camera-picture");

  async function start() {
    // Browsers allow the camera only over HTTPS or on the machine itself; phones can open their camera application instead.
    if (!navigator.mediaDevices) {
      $("#photo-taken").click();
      return;
    }
    try {
      stream ??= await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 } }, audio: false });
      video.srcObject = stream;
      await video.play();
      $("#camera").hidden = false;
      $("#camera-take").focus();
      showMessage("look", "");
    } catch (error) {
      stop();
      showMessage("look", "", CAMERA_ERRORS[error.name] ?? "The camera cannot be used; choose a photo.");
    }
  }

  function stop() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = video.srcObject = null;
    $("#camera").hidden = true;
  }

  function take() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => taken(new File([blob], "camera.jpg", { type: "image/jpeg" })), "image/jpeg", 0.92);
    stop();
  }

  $("#camera-start").addEventListener("click", start);
  $("#camera-take").addEventListener("click", take);
  $("#camera-stop").addEventListener("click", () => {
    stop();
    $("#camera-start").focus();
  });
  $("#photo-taken").addEventListener("change", (event) => event.target.files[0] && taken(event.target.files[0]));
}
