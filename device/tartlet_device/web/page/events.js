// The gallery of events, newest first.

import { askJson, Lost, sleep, visible } from "./api.js";
import { byId, colourOf, dateAndTime, duration, make } from "./dom.js";

const REFRESH_MS = 4000;
const PAGE = 24;
const SVG = "http://www.w3.org/2000/svg";

export class EventsView {
  constructor() {
    this.active = false;
    this.cards = new Map(); // by sequence number, newest first
    this.next = null;
    this.older = false; // whether older ones were asked for
    for (const id of ["by-label", "by-rule"]) byId(id).addEventListener("change", () => this.restart());
    byId("more").addEventListener("click", () => this.more());
    byId("viewer-close").addEventListener("click", () => byId("viewer").close());
    byId("viewer").addEventListener("close", () => byId("viewer-media").replaceChildren());
    byId("viewer").addEventListener("click", (event) => {
      if (event.target === byId("viewer")) byId("viewer").close(); // beside it
    });
  }

  async run() {
    for (;;) {
      await visible();
      if (this.active) await this.guarded(() => this.refresh());
      for (let waited = 0; waited < REFRESH_MS && !(this.active && !this.cards.size && waited > 800); waited += 200) {
        await sleep(200);
      }
    }
  }

  async guarded(work) {
    try {
      await work();
    } catch (error) {
      this.say(error instanceof Lost ? "The connection is lost; it is tried again." : error.message, true);
    }
  }

  async restart() {
    this.cards.clear();
    this.next = null;
    this.older = false;
    byId("gallery").replaceChildren();
    await this.guarded(() => this.refresh());
  }

  query(after) {
    const query = new URLSearchParams({ limit: PAGE });
    if (byId("by-label").value) query.set("label", byId("by-label").value);
    if (byId("by-rule").value) query.set("rule", byId("by-rule").value);
    if (after !== undefined) query.set("after", after);
    return `/events?${query}`;
  }

  async refresh() {
    const { data } = await askJson(this.query());
    const faults = Object.entries(data.faults).map(([part, why]) => `${part}: ${why}`);
    if (faults.length) {
      this.say(faults.join("; "), true);
    } else if (!data.enabled) {
      this.say("Events are not kept. Set enabled = true under [events] in /etc/tartlet/device.toml.");
    } else if (!data.events.length) {
      this.say("No events yet. A rule makes them: choose a zone on the live view, or see docs/tracking.md.");
    } else {
      this.say("");
    }
    if (!this.older) this.next = data.next;
    this.take(data.events);
  }

  async more() {
    await this.guarded(async () => {
      const { data } = await askJson(this.query(this.next));
      this.older = true;
      this.next = data.next;
      this.take(data.events);
    });
  }

  take(events) {
    for (const event of events) {
      const known = this.cards.get(event.sequence);
      const text = JSON.stringify(event);
      if (known?.dataset.text === text) continue;
      const made = card(event);
      made.dataset.text = text;
      known?.replaceWith(made);
      this.cards.set(event.sequence, made);
      this.offer("by-label", event.label);
      this.offer("by-rule", event.rule);
    }
    const gallery = byId("gallery");
    const ordered = [...this.cards].sort(([a], [b]) => b - a).map(([, each]) => each);
    ordered.forEach((each, index) => {
      // Moved only where needed: a picture that is moved is loaded again.
      if (gallery.children[index] !== each) gallery.insertBefore(each, gallery.children[index] ?? null);
    });
    byId("more").hidden = this.next === null;
  }

  offer(id, value) {
    const select = byId(id);
    if (![...select.options].some((option) => option.value === value)) select.add(new Option(value, value));
  }

  say(text, bad = false) {
    byId("events-message").className = bad ? "message" : "muted";
    byId("events-message").hidden = !text;
    byId("events-message").textContent = text;
  }
}

function card(event) {
  const where = event.zone ? ` in ${event.zone}` : "";
  const length = event.ended
    ? duration((event.ended.monotonic_ns - event.began.monotonic_ns) / 1e9)
    : event.ended_by === "restart" ? "ended by a restart" : "going on";
  const title = `${event.label}${where}`;
  let face = make("div", { className: "none", textContent: event.removed.length ? "deleted to make room" : "no picture" });
  if (event.picture || event.clip) {
    face = make("button", { type: "button", className: "open" },
      event.picture
        // It is written again when a better frame came.
        ? make("img", { src: `${event.picture}?${event.ended ? 1 : 0}`, alt: title, loading: "lazy" })
        : null,
      event.clip ? make("span", { className: "play", textContent: "▶ clip" }) : null);
    face.setAttribute("aria-label", `Show ${title}`);
    face.addEventListener("click", () => view(event, `${title}, ${dateAndTime(event.began)}`));
  }
  return make("li", {}, face, make("div", { className: "text" },
    make("div", {}, make("b", { textContent: title }), make("span", { className: "muted small", textContent: length })),
    make("div", { className: "muted small", textContent: dateAndTime(event.began) }),
    make("div", { className: "muted small", textContent: `rule ${event.rule}` })));
}

/** The picture with the boxes of what is seen in it: those of the event in colour. */
function boxed(event, alt) {
  const image = make("img", { src: event.picture, alt });
  const frame = make("div", { className: "framed" }, image);
  image.addEventListener("load", async () => {
    let note;
    try {
      note = (await askJson(event.picture.replace(".jpg", ".json"))).data;
    } catch {
      return; // the picture alone will do
    }
    const { width, height, tracks } = note.observation;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    for (const track of tracks) {
      const [left, top, right, bottom] = track.xyxy;
      const box = document.createElementNS(SVG, "rect");
      for (const [key, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) {
        box.setAttribute(key, value);
      }
      const own = note.track_id === null ? track.label === event.label : track.track_id === note.track_id;
      box.style.stroke = own ? colourOf(track.label) : "#fff8";
      svg.append(box);
    }
    frame.append(svg);
  }, { once: true });
  return frame;
}

function view(event, text) {
  const other = byId("viewer-other");
  other.hidden = !event.clip || !event.picture;
  other.onclick = () => showPart(event, text, other.dataset.shows);
  showPart(event, text, event.clip ? "clip" : "picture");
  byId("viewer-text").textContent = text;
  byId("viewer").showModal();
}

function showPart(event, text, part) {
  byId("viewer-media").replaceChildren(part === "clip" ? player(event) : boxed(event, text));
  byId("viewer-download").href = event[part];
  const other = byId("viewer-other");
  other.dataset.shows = part === "clip" ? "picture" : "clip";
  other.textContent = `Show the ${other.dataset.shows}`;
}

function player(event) {
  const video = make("video", { src: event.clip, controls: true, autoplay: true, muted: true, playsInline: true });
  if (event.picture) video.poster = event.picture;
  video.addEventListener("error", () => {
    video.replaceWith(make("p", { className: "notice", textContent: "This browser cannot play the clip." }));
  });
  return video;
}
