// The console works without this. It only keeps a form from being sent twice, and refreshes what is still going on.
"use strict";

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

// <section data-live="/console/…" data-every="1000" id="x">: replaced by the same id of that page, until it says no more.
async function refresh(part) {
  const answer = await fetch(part.dataset.live, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok) return later(part);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(part.id);
  if (!fresh) return;
  part.replaceWith(fresh);
  later(fresh);
}
function later(part) {
  if (part.dataset.live) setTimeout(refresh, Number(part.dataset.every) || 1000, part);
}
document.querySelectorAll("[data-live]").forEach(later);

// What was wrong when a form was sent, told as it is now: it may be corrected, or be another thing; what is empty still is.
function recheck(form, page) {
  form.querySelectorAll("[aria-invalid]").forEach((field) => {
    const told = document.getElementById(`${field.id}-problem`);
    const now = page.getElementById(`${field.id}-problem`);
    if (now) told?.replaceWith(now);
    if (now || (!field.value && !field.defaultValue)) return;
    told?.remove();
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  });
  form.querySelectorAll(".problem:not([id])").forEach((told) => told.remove());
  if (!form.querySelector("[aria-invalid]")) document.querySelector("main > .refused")?.remove();
}

// <form data-preview="id">: the part of that id shows what the form's button named "preview" would answer, as it is typed.
document.querySelectorAll("form[data-preview]").forEach((form) => {
  let waiting = 0;
  let asked = 0;
  const show = async () => {
    const mine = ++asked;
    const sent = new URLSearchParams(new FormData(form));
    sent.set("preview", "yes");
    const answer = await fetch(form.action, { method: "POST", body: sent }).catch(() => null);
    if (!answer || mine !== asked) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(form.dataset.preview);
    const shown = document.getElementById(form.dataset.preview);
    if (!fresh || !shown) return;
    shown.replaceWith(fresh);
    recheck(form, page);
  };
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 400);
  });
});
