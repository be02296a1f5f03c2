// Drawing and changing zones and lines with a mouse or a finger.
//
// A zone: tap its corners and the first one again, or drag for a rectangle. A line: drag, or tap
// both ends. One that is chosen has handles: drag a corner, or the middle of a side for a new one.

import { byId } from "./dom.js";
import { at } from "./painting.js";

const NEAR_PX = 20;
const DRAG_PX = 8;
const MOST_POINTS = 64;
const HINTS = {
  zones: "Tap the corners, and the first one again to close it; or drag for a rectangle.",
  lines: "Drag along the line, or tap both ends. The arrow shows what counts as left to right.",
};

export class Editor {
  constructor(canvas, places, changed) {
    this.canvas = canvas;
    this.places = places;
    this.changed = changed;
    this.kind = null; // "zones" or "lines" while one is drawn
    this.points = [];
    this.pointer = null; // where it is, while one is drawn
    this.grip = null; // what is dragged
    this.places.editor = this;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => this.release());
    canvas.addEventListener("keydown", (event) => this.key(event));
    byId("add-zone").addEventListener("click", () => this.begin("zones"));
    byId("add-line").addEventListener("click", () => this.begin("lines"));
    byId("finish").addEventListener("click", () => this.finish());
    byId("undo").addEventListener("click", () => this.undo());
    byId("cancel").addEventListener("click", () => this.cancel());
  }

  get chosen() {
    return this.places.chosen;
  }

  begin(kind) {
    this.places.choose(null);
    this.kind = kind;
    this.points = [];
    this.pointer = this.grip = null;
    this.canvas.focus({ preventScroll: true });
    this.show();
  }

  cancel() {
    this.kind = null;
    this.points = [];
    this.release();
  }

  undo() {
    this.points.pop();
    this.show();
  }

  finish() {
    const { kind, points } = this;
    this.cancel();
    if (kind === "zones" && points.length >= 3) this.places.add("zones", { points });
    if (kind === "lines" && points.length === 2) {
      this.places.add("lines", { start: points[0], end: points[1] });
    }
  }

  show() {
    const drawing = this.kind !== null;
    this.canvas.classList.toggle("drawing", drawing || Boolean(this.chosen && !this.places.isFixed(this.chosen)));
    for (const id of ["add-zone", "add-line"]) byId(id).hidden = drawing;
    byId("cancel").hidden = !drawing;
    byId("undo").hidden = !drawing || !this.points.length;
    byId("finish").hidden = this.kind !== "zones" || this.points.length < 3;
    byId("hint").hidden = !drawing;
    byId("hint").textContent = HINTS[this.kind] ?? "";
    this.changed();
  }

  down(event) {
    if (!event.isPrimary || event.button !== 0) return;
    const point = this.place(event);
    if (this.kind !== null) {
      this.grip = { from: point, dragged: false };
      this.pointer = point;
    } else {
      const handle = this.handleNear(point);
      if (handle) {
        this.grip = this.gripOf(handle);
      } else {
        this.places.choose(this.under(point));
      }
    }
    if (this.grip) {
      this.canvas.setPointerCapture(event.pointerId);
      event.preventDefault();
    }
    this.show();
  }

  move(event) {
    if (!event.isPrimary) return;
    const point = this.place(event);
    if (this.kind !== null) this.pointer = point;
    if (this.grip?.set) {
      this.grip.set(point);
      this.places.touch();
    } else if (this.grip && this.distance(this.grip.from, point) > DRAG_PX) {
      this.grip.dragged = true;
    }
    if (this.kind !== null || this.grip) this.changed();
  }

  up(event) {
    if (!event.isPrimary || !this.grip) return;
    const { grip, kind } = this;
    const point = this.place(event);
    if (kind === null) {
      this.release();
    } else if (grip.dragged && !this.points.length) {
      this.points = kind === "zones" ? rectangle(grip.from, point) : [grip.from, point];
      this.finish();
    } else {
      this.grip = null;
      this.tap(point);
    }
  }

  tap(point) {
    const closes = this.kind === "zones" && this.points.length >= 3
      && this.distance(this.points[0], point) < NEAR_PX;
    const last = this.points.at(-1);
    if (!closes && !(last && this.distance(last, point) < 3)) this.points.push(point);
    const full = this.points.length === (this.kind === "zones" ? MOST_POINTS : 2);
    if (closes || full) this.finish();
    else this.show();
  }

  release() {
    this.grip = null;
    this.pointer = null;
    this.show();
  }

  key(event) {
    if (event.key === "Escape") {
      this.kind === null ? this.places.choose(null) : this.cancel();
    } else if (event.key === "Enter" && this.kind === "zones") {
      this.finish();
    } else if (event.key === "Backspace" && this.kind !== null) {
      this.undo();
    } else if (event.key === "Delete" && this.chosen && !this.places.isFixed(this.chosen)) {
      this.places.remove(this.chosen);
    } else {
      return;
    }
    event.preventDefault();
    this.show();
  }

  // -- what is where

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const fraction = (value) => Math.round(Math.min(Math.max(value, 0), 1) * 1e4) / 1e4;
    return [fraction((event.clientX - box.left) / box.width), fraction((event.clientY - box.top) / box.height)];
  }

  distance(a, b) {
    return Math.hypot((a[0] - b[0]) * this.canvas.clientWidth, (a[1] - b[1]) * this.canvas.clientHeight);
  }

  handles() {
    const { chosen } = this;
    if (!chosen || this.kind !== null || this.places.isFixed(chosen)) return [];
    if (!chosen.points) return ["start", "end"].map((key) => ({ key, point: chosen[key] }));
    const { points } = chosen;
    const corners = points.map((point, index) => ({ index, point }));
    if (points.length >= MOST_POINTS) return corners;
    const middles = points.map((point, index) => {
      const [x, y] = points[(index + 1) % points.length];
      return { after: index, point: [(point[0] + x) / 2, (point[1] + y) / 2] };
    });
    return [...corners, ...middles];
  }

  handleNear(point) {
    const near = this.handles()
      .map((handle) => ({ handle, px: this.distance(handle.point, point) }))
      .filter(({ px }) => px < NEAR_PX)
      .sort((a, b) => a.px - b.px);
    return near[0]?.handle;
  }

  gripOf(handle) {
    const { chosen } = this;
    if (handle.key) return { set: (point) => { chosen[handle.key] = point; } };
    let { index } = handle;
    if (handle.after !== undefined) {
      index = handle.after + 1;
      chosen.points.splice(index, 0, handle.point);
    }
    return { set: (point) => { chosen.points[index] = point; } };
  }

  under(point) {
    const line = this.places.all("lines").find((each) => this.fromLine(each, point) < NEAR_PX);
    return line ?? this.places.all("zones").findLast((zone) => inside(zone.points, point)) ?? null;
  }

  fromLine({ start, end }, point) {
    const scale = ([x, y]) => [x * this.canvas.clientWidth, y * this.canvas.clientHeight];
    const [ax, ay] = scale(start);
    const [bx, by] = scale(end);
    const [px, py] = scale(point);
    const squared = (bx - ax) ** 2 + (by - ay) ** 2;
    const along = Math.min(1, Math.max(0, ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / squared));
    return Math.hypot(px - ax - along * (bx - ax), py - ay - along * (by - ay));
  }

  // -- painting

  paint(context, area) {
    for (const { point, after } of this.handles()) dot(context, at(area, point), after === undefined ? 7 : 4);
    if (this.kind === null) return;
    const { points, pointer, grip } = this;
    let outline = pointer ? [...points, pointer] : points;
    if (grip?.dragged && !points.length) {
      outline = this.kind === "zones" ? rectangle(grip.from, pointer) : [grip.from, pointer];
    }
    context.beginPath();
    for (const point of outline) context.lineTo(...at(area, point));
    if (this.kind === "zones" && outline.length > 2) context.closePath();
    context.setLineDash([6, 5]);
    context.lineWidth = 2;
    context.strokeStyle = "#fff";
    context.stroke();
    context.setLineDash([]);
    points.forEach((point, index) => dot(context, at(area, point), index ? 5 : 9));
  }
}

function dot(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = "#fff";
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = "#000b";
  context.stroke();
}

function rectangle([ax, ay], [bx, by]) {
  return [[ax, ay], [bx, ay], [bx, by], [ax, by]];
}

function inside(points, [x, y]) {
  let found = false;
  points.forEach(([ax, ay], index) => {
    const [bx, by] = points[(index + 1) % points.length];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) found = !found;
  });
  return found;
}
