// The page: three views, of which one is shown, and what the header says.

import { askJson, Lost, sleep, visible } from "./api.js";
import { byId } from "./dom.js";
import { EventsView } from "./events.js";
import { showHealth } from "./health.js";
import { LiveView } from "./live.js";

const STATUS_MS = 4000;

const events = new EventsView();
const live = new LiveView((text, kind) => say(text, kind));
let current = "live";

function say(text, kind) {
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = `pill ${kind}`;
}

function show(view) {
  current = view;
  for (const button of document.querySelectorAll("nav button")) {
    const chosen = button.dataset.view === view;
    chosen ? button.setAttribute("aria-current", "page") : button.removeAttribute("aria-current");
    byId(`view-${button.dataset.view}`).hidden = !chosen;
  }
  live.active = view === "live";
  events.active = view === "events";
  if (location.hash !== `#${view}`) history.replaceState(null, "", `#${view}`);
}

async function watchStatus() {
  for (;;) {
    await visible();
    try {
      const { data } = await askJson("/status");
      const model = data.model;
      byId("model").textContent = model ? model.name : "no model";
      byId("model").title = model ? `${model.digest} (${model.labels.join(", ")})` : "";
      showHealth(data);
      live.model = model;
      if (current !== "live") {
        if (data.camera_error) say("camera fault", "bad");
        else if (!model) say("no model", "");
        else say("connected", "good");
      }
    } catch (error) {
      if (current !== "live") say(error instanceof Lost ? "connection lost" : "fault", "bad");
    }
    await sleep(STATUS_MS);
  }
}

for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => show(button.dataset.view));
}
const wanted = location.hash.slice(1);
show(["live", "events", "health"].includes(wanted) ? wanted : "live");
live.run();
events.run();
watchStatus();
