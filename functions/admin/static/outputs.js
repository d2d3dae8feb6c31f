// What a run has left: its artifacts, with previews of images, and its patch.

import { BASE, call } from "./api.js";
import { fill, h, number, visible } from "./dom.js";

const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
// Bytes of an image and of a patch that the page shows: on AWS larger ones come from another host.
const LARGEST_IMAGE = 4_000_000;
const LARGEST_PATCH = 1_000_000;
// Characters of a patch that the page shows; the download has all of it.
const SHOWN = 200_000;

// A file is read by a path of its own, which works for some minutes: the page has no key of the caller.
async function pathOf(job, fileId) {
  const found = await call("POST", `/api/jobs/${job.jobId}/downloads`, { fileId });
  return BASE.replace(/\/admin$/, "") + found.path;
}

const button = (label, name, act) =>
  h("button", { type: "button", "aria-label": `${label} ${name}`, onclick: act }, label);

function download(job, fileId, name, place) {
  return button("Download", name, () =>
    attempt(place, async () => {
      window.location.assign(await pathOf(job, fileId));
    }),
  );
}

async function attempt(place, work) {
  try {
    await work();
  } catch (error) {
    fill(place, h("p", { role: "alert" }, error.message));
  }
}

function artifact(job, one) {
  const name = visible(one.path);
  const place = h("div", { class: "preview" });
  // An image element runs nothing that a file contains.
  const preview = () =>
    attempt(place, async () => {
      fill(place, h("img", { src: await pathOf(job, one.fileId), alt: `Preview of ${name}` }));
    });
  return h(
    "li",
    {},
    h("span", { class: "id" }, name),
    ` ${number(one.size)} bytes, ${visible(one.mediaType)} `,
    download(job, one.fileId, name, place),
    IMAGES.includes(one.mediaType) && one.size <= LARGEST_IMAGE && button("Preview", name, preview),
    place,
  );
}

function kindOf(line) {
  if (line.startsWith("+++") || line.startsWith("---") || line.startsWith("diff ")) return "file";
  if (line.startsWith("@@")) return "place";
  if (line.startsWith("+")) return "added";
  return line.startsWith("-") ? "removed" : null;
}

function highlighted(text) {
  const lines = text.slice(0, SHOWN).split("\n");
  return lines.map((line) => h("span", { class: kindOf(line) }, `${visible(line)}\n`));
}

function patch(job, summary) {
  const place = h("div", { class: "text" });
  const show = () =>
    attempt(place, async () => {
      const answer = await fetch(await pathOf(job, summary.fileId), { cache: "no-store" });
      if (!answer.ok) throw new Error(`The patch cannot be read: status ${answer.status}`);
      const text = await answer.text();
      fill(
        place,
        h("pre", { class: "patch", tabindex: "0", "aria-label": "Patch" }, highlighted(text)),
        text.length > SHOWN && h("p", {}, "The rest is in the download."),
      );
    });
  const counts = `${number(summary.files)} files, ${number(summary.insertions)} lines added, ${number(summary.deletions)} removed`;
  return h(
    "section",
    {},
    h("h2", {}, "Patch"),
    h("p", {}, summary.files === 0 ? "Nothing changed." : `${counts}. `),
    summary.files > 0 &&
      h(
        "div",
        { class: "row wrap" },
        summary.bytes <= LARGEST_PATCH && button("Show", "the patch", show),
        download(job, summary.fileId, "the patch", place),
      ),
    place,
  );
}

// The sections are kept while their job does not change, so that an update of the page closes no preview.
const made = new Map();

export function outputs(job) {
  const left = job.outputs;
  const key = JSON.stringify([job.jobId, left]);
  if (!made.has(key)) {
    made.clear();
    made.set(key, sections(job, left));
  }
  return made.get(key);
}

function sections(job, left) {
  const omitted = Object.entries(left.omitted).map(([reason, count]) => `${number(count)} ${reason}`);
  return [
    (left.artifacts.length > 0 || omitted.length > 0) &&
      h(
        "section",
        {},
        h("h2", {}, "Artifacts"),
        left.artifacts.length > 0 &&
          h(
            "ul",
            {},
            left.artifacts.map((one) => artifact(job, one)),
          ),
        omitted.length > 0 && h("p", {}, `Omitted: ${omitted.join(", ")}`),
      ),
    left.commit && h("section", {}, h("h2", {}, "Commit"), h("p", { class: "id" }, left.commit)),
    left.patch && patch(job, left.patch),
  ];
}
