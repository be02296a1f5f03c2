// The live view: the newest frame with the boxes of that frame, counts, and zones to be drawn.

import { ask, Failure, Lost, sleep, visible } from "./api.js";
import { byId, clock, colourOf, duration, make } from "./dom.js";
import { Editor } from "./editor.js";
import { paint, shape } from "./painting.js";
import { Places } from "./places.js";

const WIDTHS = [320, 480, 640, 960, 1280, 1920];
const RETRY_MS = [300, 1000, 2000, 4000];
const LATEST = 6;

export class LiveView {
  constructor(say) {
    this.say = say;
    this.active = false;
    this.model = undefined; // not known yet
    this.canvas = byId("canvas");
    this.seen = null;
    this.picture = null;
    this.serial = null;
    this.latest = [];
    this.planned = false;
    this.places = new Places(() => this.plan());
    this.editor = new Editor(this.canvas, this.places, () => this.plan());
    new ResizeObserver(() => this.plan()).observe(this.canvas);
  }

  async run() {
    let failures = 0;
    for (;;) {
      await visible();
      if (!this.active) {
        await sleep(200);
        continue;
      }
      try {
        await this.next();
        failures = 0;
      } catch (error) {
        this.fail(error);
        await sleep(RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
        failures += 1;
      }
    }
  }

  async next() {
    const wide = this.canvas.clientWidth * Math.min(devicePixelRatio, 2);
    const width = WIDTHS.find((each) => each >= wide) ?? WIDTHS.at(-1);
    const after = this.serial === null ? "" : `&after=${this.serial}`;
    const response = await ask(`/live?width=${width}${after}`);
    let form;
    try {
      form = await response.formData();
    } catch {
      throw new Lost("The answer broke off.");
    }
    const seen = JSON.parse(form.get("seen"));
    const blob = form.get("picture");
    const picture = blob ? await createImageBitmap(blob) : null;
    if (picture) {
      this.picture?.close();
      this.picture = picture;
    }
    this.seen = seen;
    if (picture) this.serial = seen.serial;
    if (!this.places.dirty && seen.revision !== this.places.revision) await this.places.refresh();
    this.show();
    if (!picture) await sleep(500);
  }

  show() {
    const { seen } = this;
    const tracks = seen.observation?.tracks;
    const source = seen.observation ?? this.picture;
    if (source) shape(this.canvas, source);
    if (seen.camera_fault) {
      this.say("camera fault", "bad");
      this.notice("No picture from the camera.", seen.camera_fault, "bad");
    } else if (seen.fault) {
      const without = this.model === null;
      this.say(without ? "no model" : "not detecting", "");
      this.notice(without ? "No model serves on this device." : "Nothing is looked at.",
        without ? "Send one from the laptop: tartlet push BUNDLE" : seen.fault);
    } else if (!seen.observation) {
      this.say("waiting", "");
      this.notice("This frame was not looked at.", "Nothing moves, or it is not the time of day to look.");
    } else {
      this.say("live", "good");
      this.notice("");
    }
    byId("nothing").hidden = !tracks || tracks.length > 0;
    this.showCounts(tracks);
    this.places.showCounts(seen);
    this.showEvents(seen.events);
    this.plan();
  }

  fail(error) {
    if (error instanceof Lost) {
      this.say("connection lost", "bad");
      this.notice("The connection is lost.", "It is tried again until the device answers.", "bad");
    } else {
      this.say("fault", "bad");
      const known = error instanceof Failure;
      this.notice(known ? error.message : "The page failed.", known ? error.hint : String(error), "bad");
    }
    this.stale = true;
    byId("nothing").hidden = true;
    this.showCounts();
    this.plan();
  }

  notice(title, text = "", kind = "") {
    this.stale = false;
    const box = byId("notice");
    box.hidden = !title;
    box.className = `notice ${kind}`;
    if (box.dataset.text === title + text) return;
    box.dataset.text = title + text;
    box.replaceChildren(make("b", { textContent: title }), text);
  }

  showCounts(tracks) {
    const counts = new Map();
    for (const track of tracks ?? []) counts.set(track.label, (counts.get(track.label) ?? 0) + 1);
    const items = [...counts].sort(([a], [b]) => a.localeCompare(b)).map(([label, count]) =>
      make("li", {}, swatch(label), make("b", { textContent: count }), label));
    if (!items.length) items.push(make("li", { className: "muted", textContent: tracks ? "nothing" : "not known" }));
    byId("now").replaceChildren(...items);
    const { observation, rate } = this.seen ?? {};
    byId("figures").textContent = tracks
      ? `${rate.toFixed(1)} frames a second, ${observation.width} × ${observation.height}`
      : "";
  }

  showEvents(events) {
    if (!events.length) return;
    for (const event of events) {
      if (event.kind === "began") {
        this.latest.unshift(event);
      } else {
        const began = this.latest.find((each) => each.event_id === event.event_id);
        if (began) began.lasted_s = (event.monotonic_ns - began.monotonic_ns) / 1e9;
      }
    }
    this.latest.length = Math.min(this.latest.length, LATEST);
    byId("latest-card").hidden = !this.latest.length;
    byId("latest").replaceChildren(...this.latest.map((event) => make("li", {},
      make("time", { textContent: clock(event.time_s, event.clock_synchronized) }),
      make("span", { textContent: `${event.rule}: ${event.label}${
        event.lasted_s === undefined ? "" : `, ${duration(event.lasted_s)}`}` }))));
  }

  /** Paint with the next refresh of the screen, however many reasons there are. */
  plan() {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      paint(this.canvas, {
        picture: this.picture,
        observation: this.seen?.observation ?? null,
        stale: this.stale,
        places: this.places,
        editor: this.editor,
      });
    });
  }
}

function swatch(label) {
  const made = make("span", { className: "swatch" });
  made.style.background = colourOf(label);
  return made;
}
