// Zones, lines and their rules: those of the configuration, which are fixed, and those drawn here.

import { askJson } from "./api.js";
import { byId, make } from "./dom.js";

const KINDS = ["zones", "lines"];
const WORDS = { zones: "zone", lines: "line" };

export class Places {
  constructor(changed) {
    this.changed = changed;
    this.editor = null;
    this.revision = null;
    this.fixed = { zones: [], lines: [], rules: [] };
    this.drawn = { zones: [], lines: [], rules: [] };
    this.labels = [];
    this.keepsEvents = false;
    this.dirty = false;
    this.chosen = null;
    this.counts = { zones: [], lines: [] };
    byId("save").addEventListener("click", () => this.save());
    byId("discard").addEventListener("click", () => this.discard());
  }

  all(kind) {
    return [...this.fixed[kind], ...this.drawn[kind]];
  }

  isFixed(place) {
    return KINDS.some((kind) => this.fixed[kind].includes(place));
  }

  async load() {
    this.take(await askJson("/zones"));
  }

  // Somebody else may have saved; what is being changed here is not thrown away for it.
  async refresh() {
    const answer = await askJson("/zones");
    if (!this.dirty && !this.editor?.grip) this.take(answer);
  }

  take({ data, headers }) {
    const name = this.chosen?.name;
    this.revision = (headers.get("ETag") ?? "").replaceAll('"', "");
    this.fixed = data.fixed;
    this.drawn = data.drawn;
    this.labels = data.labels;
    this.keepsEvents = data.keeps_events;
    this.dirty = false;
    this.chosen = KINDS.flatMap((kind) => this.all(kind)).find((each) => each.name === name) ?? null;
    this.say(data.fault);
    this.show();
  }

  add(kind, place) {
    const taken = new Set(this.all(kind).map((each) => each.name));
    let number = 1;
    while (taken.has(`${WORDS[kind]} ${number}`)) number += 1;
    const made = { name: `${WORDS[kind]} ${number}`, ...place };
    this.drawn[kind].push(made);
    this.chosen = made;
    this.touch();
    this.show();
    byId(kind).querySelector(".edit input")?.select();
  }

  remove(place) {
    for (const kind of KINDS) this.drawn[kind] = this.drawn[kind].filter((each) => each !== place);
    if (place.points) this.drawn.rules = this.drawn.rules.filter((rule) => rule.zone !== place.name);
    this.chosen = null;
    this.touch();
    this.show();
  }

  choose(place) {
    if (this.chosen === place) return;
    this.chosen = place;
    this.show();
  }

  touch() {
    this.dirty = true;
    this.showTools();
    this.changed();
  }

  async save() {
    byId("save").disabled = true;
    try {
      this.take(await askJson("/zones", {
        method: "PUT",
        headers: { "Content-Type": "application/json", "If-Match": `"${this.revision}"` },
        body: JSON.stringify(this.drawn),
      }));
    } catch (error) {
      this.say(`Not saved: ${error.message}${error.hint ? ` (${error.hint})` : ""}`);
    } finally {
      byId("save").disabled = false;
    }
  }

  async discard() {
    try {
      await this.load();
    } catch (error) {
      this.say(error.message);
    }
  }

  say(text) {
    byId("message").hidden = !text;
    byId("message").textContent = text ?? "";
  }

  // -- the lists

  show() {
    for (const kind of KINDS) {
      const items = this.all(kind).map((place) => this.item(kind, place));
      if (!items.length) {
        items.push(make("li", { className: "muted small", textContent: `No ${kind} yet.` }));
      }
      byId(kind).replaceChildren(...items);
    }
    this.showTools();
    this.showCounts(this.counts);
    this.editor?.show();
  }

  showTools() {
    byId("save").hidden = byId("discard").hidden = !this.dirty;
  }

  showCounts(counts) {
    this.counts = counts;
    for (const span of document.querySelectorAll(".places .count")) {
      const { kind, name } = span.dataset;
      const found = counts[kind].filter((each) => (kind === "zones" ? each.zone : each.line) === name);
      const several = found.length > 1;
      const text = found.map((each) => {
        const label = several ? `${each.label} ` : "";
        return kind === "zones"
          ? `${label}${each.now} now, ${each.entries} came`
          : `${label}${each.left_to_right} along, ${each.right_to_left} against`;
      }).join("\n") || (kind === "zones" ? "0 now" : "0");
      if (span.textContent !== text) span.textContent = text;
    }
  }

  item(kind, place) {
    const fixed = this.isFixed(place);
    const open = this.chosen === place;
    const title = kind === "lines" ? "Crossings along the line's arrow, and against it" : "";
    const count = make("span", { className: "count", title });
    Object.assign(count.dataset, { kind, name: place.name });
    const row = make("button", { type: "button", className: "row" },
      make("span", { className: "name", textContent: place.name }),
      fixed ? make("span", { className: "tag", textContent: "fixed", title: "From the device's configuration" }) : null,
      count);
    row.setAttribute("aria-expanded", open);
    row.addEventListener("click", () => this.choose(open ? null : place));
    return make("li", {}, row, open ? this.details(kind, place, fixed) : null);
  }

  details(kind, place, fixed) {
    if (fixed) {
      return make("p", { className: "muted small", textContent: "Set in /etc/tartlet/device.toml, and changed there." });
    }
    const name = make("input", { value: place.name, maxLength: 64, autocomplete: "off" });
    name.addEventListener("change", () => this.rename(place, name.value.trim()));
    const remove = make("button", { type: "button", className: "danger", textContent: "Delete" });
    remove.addEventListener("click", () => this.remove(place));
    return make("div", { className: "edit" },
      make("label", {}, "Name", name),
      kind === "zones" ? this.ruleChoice(place) : null,
      remove);
  }

  rename(place, name) {
    if (!name || name === place.name) return;
    for (const rule of this.drawn.rules) {
      if (!place.points || rule.zone !== place.name) continue;
      if (rule.name === place.name) rule.name = name;
      rule.zone = name;
    }
    place.name = name;
    this.touch();
    this.show();
  }

  ruleOf(zone) {
    return this.drawn.rules.find((rule) => rule.name === zone.name && rule.zone === zone.name);
  }

  ruleChoice(zone) {
    const rule = this.ruleOf(zone);
    const several = (rule?.classes ?? []).length > 1;
    const labels = [...new Set([...this.labels, ...(rule?.classes ?? [])])];
    const choice = make("select", {},
      new Option("never", "never"), new Option("anything is in it", ""),
      ...labels.map((label) => new Option(`a ${label} is in it`, `=${label}`)),
      several ? new Option(rule.classes.join(", "), "several") : null);
    choice.value = !rule ? "never" : several ? "several" : rule.classes?.length ? `=${rule.classes[0]}` : "";
    choice.addEventListener("change", () => this.setRule(zone, choice.value));
    const where = this.keepsEvents ? "" : " (kept only with [events] enabled)";
    return make("label", {}, `An event when${where}`, choice);
  }

  setRule(zone, value) {
    if (value === "several") return;
    const before = this.ruleOf(zone);
    this.drawn.rules = this.drawn.rules.filter((rule) => rule !== before);
    if (value !== "never") {
      const classes = value ? [value.slice(1)] : [];
      this.drawn.rules.push({ ...before, name: zone.name, zone: zone.name, classes });
    }
    this.touch();
  }
}
