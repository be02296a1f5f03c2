// Everything that is painted over the picture. Places are fractions of the picture.

import { colourOf } from "./dom.js";

const ZONE = "#cdb2ff";
const LINE = "#6cc8ff";
const CHOSEN = "#ffffff";

/** Lay the page out for pictures of this size. */
export function shape(canvas, { width, height }) {
  canvas.parentElement.style.setProperty("--ratio", `${width} / ${height}`);
  canvas.parentElement.style.setProperty("--shape", width / height);
}

export function paint(canvas, { picture, observation, stale, places, editor }) {
  const scale = Math.min(devicePixelRatio || 1, 2);
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  context.globalAlpha = stale ? 0.35 : 1;
  if (picture) context.drawImage(picture, 0, 0, width, height);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  const area = { width: width / scale, height: height / scale };
  const taken = places.all("zones").map((zone) => paintZone(context, area, zone, editor.chosen === zone));
  taken.push(...places.all("lines").map((line) => paintLine(context, area, line, editor.chosen === line)));
  if (observation) {
    const boxes = observation.tracks.map((track) => boxOf(area, observation, track));
    for (const box of boxes) paintBox(context, box);
    for (const box of boxes) tag(context, area, box, taken);
  }
  context.globalAlpha = 1;
  editor.paint(context, area);
}

export function at(area, [x, y]) {
  return [x * area.width, y * area.height];
}

function paintZone(context, area, zone, chosen) {
  trace(context, area, zone.points);
  context.closePath();
  context.fillStyle = chosen ? "#ffffff33" : "#cdb2ff22";
  context.fill();
  stroke(context, chosen ? CHOSEN : ZONE);
  return name(context, area, zone.name, lowest(zone.points), chosen ? CHOSEN : ZONE);
}

function paintLine(context, area, line, chosen) {
  const colour = chosen ? CHOSEN : LINE;
  const [ax, ay] = at(area, line.start);
  const [bx, by] = at(area, line.end);
  trace(context, area, [line.start, line.end]);
  stroke(context, colour, 3);
  // From left to right of somebody who walks from start to end: the first of the two counts.
  const length = Math.hypot(bx - ax, by - ay) || 1;
  const [nx, ny] = [-(by - ay) / length, (bx - ax) / length];
  const [mx, my] = [(ax + bx) / 2, (ay + by) / 2];
  const [tx, ty] = [mx + nx * 22, my + ny * 22];
  context.beginPath();
  context.moveTo(mx, my);
  context.lineTo(tx, ty);
  context.moveTo(tx - nx * 8 - ny * 5, ty - ny * 8 + nx * 5);
  context.lineTo(tx, ty);
  context.lineTo(tx - nx * 8 + ny * 5, ty - ny * 8 - nx * 5);
  stroke(context, colour, 2);
  return name(context, area, line.name, line.start, colour);
}

function boxOf(area, { width, height }, track) {
  const [left, top, right, bottom] = track.xyxy;
  const [x, y] = at(area, [left / width, top / height]);
  const [x2, y2] = at(area, [right / width, bottom / height]);
  return { x, y, x2, y2, track, colour: colourOf(track.label) };
}

function paintBox(context, { x, y, x2, y2, colour }) {
  context.lineJoin = "miter";
  context.strokeStyle = "#000a";
  context.lineWidth = 4;
  context.strokeRect(x, y, x2 - x, y2 - y);
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.strokeRect(x, y, x2 - x, y2 - y);
}

function trace(context, area, points) {
  context.beginPath();
  for (const point of points) context.lineTo(...at(area, point));
}

function stroke(context, colour, width = 2) {
  context.lineJoin = context.lineCap = "round";
  context.strokeStyle = "#0008";
  context.lineWidth = width + 2;
  context.stroke();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

/** Writes it; returns the place that it takes. */
function name(context, area, text, point, colour) {
  const [x, y] = at(area, point);
  context.font = "600 12px system-ui, sans-serif";
  const wide = context.measureText(text).width;
  const left = Math.max(4, Math.min(x - wide / 2, area.width - wide - 4));
  const base = Math.max(14, Math.min(y - 6, area.height - 6));
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = "#000c";
  context.strokeText(text, left, base);
  context.fillStyle = colour;
  context.fillText(text, left, base);
  return { left, top: base - 12, wide, high: 16 };
}

/** Class and number above the box, else below or inside it; the number alone where it is narrow. */
function tag(context, area, { x, y, x2, y2, track, colour }, taken) {
  context.font = "600 12px system-ui, sans-serif";
  const high = 16;
  for (const text of [`${track.label} ${track.track_id}`, `${track.track_id}`]) {
    const wide = context.measureText(text).width + 8;
    for (const wanted of [y - high - 1, y2 + 1, y + 1]) {
      const left = Math.max(0, Math.min((x + x2 - wide) / 2, area.width - wide));
      const top = Math.max(0, Math.min(wanted, area.height - high));
      const free = taken.every((other) => left >= other.left + other.wide || other.left >= left + wide
        || top >= other.top + other.high || other.top >= top + high);
      if (!free) continue;
      taken.push({ left, top, wide, high });
      context.fillStyle = colour;
      context.fillRect(left, top, wide, high);
      context.fillStyle = "#000";
      context.fillText(text, left + 4, top + 12);
      return;
    }
  }
}

function lowest(points) {
  return points.reduce((found, point) => (point[1] > found[1] ? point : found));
}
