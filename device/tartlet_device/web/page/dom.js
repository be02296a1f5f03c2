// Small helpers. Text from the device is only ever set as text, never as HTML.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const COLOURS = [
  "#ff9a3e", "#ffe14d", "#7be36e", "#ff6b6b", "#4de0c2", "#ff8fd0", "#d5e04d", "#e0b084",
];

/** The same colour for the same word, always. */
export function colourOf(word) {
  let sum = 0;
  for (const sign of word) sum = (sum * 31 + sign.codePointAt(0)) >>> 0;
  return COLOURS[sum % COLOURS.length];
}

export function clock(seconds, synchronized = true) {
  const text = new Date(seconds * 1000).toLocaleTimeString();
  return synchronized ? text : `~${text}`;
}

export function dateAndTime(moment) {
  const text = new Date(moment.time_s * 1000).toLocaleString(undefined, {
    dateStyle: "medium", timeStyle: "medium",
  });
  return moment.clock_synchronized ? text : `~${text}`;
}

export function duration(seconds) {
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function size(bytes) {
  for (const [limit, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (bytes >= limit) return `${(bytes / limit).toFixed(1)} ${unit}`;
  }
  return `${bytes} B`;
}
