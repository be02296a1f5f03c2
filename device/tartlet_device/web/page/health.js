// How the device is.

import { byId, duration, make, size } from "./dom.js";

const HOT_C = 80;

export function showHealth(status) {
  const health = status.health ?? {};
  byId("health").replaceChildren(...[
    group("Model", modelRows(status)),
    group("Camera", [
      ["kind", status.camera],
      ["state", status.camera_error || "works", status.camera_error ? "bad" : "good"],
      ["frames", health.camera_frames],
      health.camera_restarts > 0 && ["opened again", `${health.camera_restarts} times`, "warn"],
    ]),
    group("Detection", detectionRows(status.detection, health.stages ?? [])),
    group("Machine", machineRows(status, health)),
    group("Events and outputs", keepingRows(health)),
  ]);
}

function modelRows({ model, model_error: fault }) {
  return [
    ["serves", model ? model.name : "none", model ? "" : "warn"],
    model && ["runtime", model.runtime],
    model && ["classes", model.labels.join(", ")],
    model && ["bundle", model.digest.slice(0, 12)],
    fault && ["fault", fault, "bad"],
  ];
}

function detectionRows(detection, stages) {
  if (!detection) return [["state", "off while nobody looks"]];
  const within = (p50, p95) => `${p50.toFixed(0)} ms, 95 % within ${p95.toFixed(0)} ms`;
  return [
    ["rate", `${detection.rate.toFixed(1)} frames a second`],
    ["frames", `${detection.frames}, and ${detection.still} in which nothing moved`],
    detection.latency_p50_ms !== null
      && ["camera to boxes", within(detection.latency_p50_ms, detection.latency_p95_ms)],
    typeof detection.inference_p50_ms === "number"
      && ["model alone", within(detection.inference_p50_ms, detection.inference_p95_ms)],
    ...stages.filter((stage) => stage.dropped)
      .map((stage) => [`left out before ${stage.name}`, stage.dropped]),
    detection.fault && ["fault", detection.fault, "bad"],
  ];
}

function machineRows(status, health) {
  const hot = status.temperature_c > HOT_C;
  return [
    ["machine", status.machine],
    status.temperature_c !== null
      && ["temperature", `${status.temperature_c.toFixed(0)} °C`, hot ? "warn" : ""],
    ["power", power(status.throttled), status.throttled?.length ? "bad" : ""],
    ["memory of the daemon", size(status.resident_bytes)],
    health.children?.length && ["memory of its processes",
      size(health.children.reduce((sum, child) => sum + child.resident_bytes, 0))],
    health.cma_total_bytes
      && ["contiguous memory", `${size(health.cma_free_bytes)} of ${size(health.cma_total_bytes)} free`],
    ["free disk", size(status.free_bytes)],
    health.read_only && ["disk", "takes nothing", "bad"],
    ["clock", status.clock_synchronized ? "set by a time server" : "not set by a time server",
      status.clock_synchronized ? "" : "warn"],
    ["up for", duration(status.uptime_s)],
    ["tartlet", `${status.software}, Python ${status.python}`],
    ["runtimes", Object.values(status.runtimes).join(", ") || "none"],
    status.config_error && ["configuration", status.config_error, "bad"],
  ];
}

function keepingRows({ events, outputs = [], outputs_fault: fault }) {
  const faults = Object.entries(events?.faults ?? {});
  return [
    ["events", events ? "are kept" : "are not kept"],
    events?.lost > 0 && ["events lost", events.lost, "bad"],
    ...faults.map(([part, why]) => [part, why, "bad"]),
    ...outputs.map((output) => [output.name,
      output.last_error || `${output.delivered} delivered, ${output.queued} wait`,
      output.last_error ? "bad" : ""]),
    !outputs.length && !fault && ["outputs", "none"],
    fault && ["outputs", fault, "bad"],
  ];
}

function power(flags) {
  if (flags === null) return "unknown";
  return flags.length ? flags.join(", ") : "good";
}

function group(title, rows) {
  const list = make("dl");
  for (const [name, value, kind] of rows.filter(Boolean)) {
    if (value === undefined) continue;
    list.append(make("dt", { textContent: name }), make("dd", { textContent: value, className: kind ?? "" }));
  }
  return make("section", { className: "card" }, make("h2", { textContent: title }), list);
}
