// The browser of clips: prompts a few at a time, found by text and category, in the suite's order or the worst first.
"use strict";
(async () => {
  const holder = document.getElementById("clip-data");
  const home = document.getElementById("prompts");
  if (!holder || !home) return;
  const PAGE = matchMedia("(max-width: 46rem)").matches ? 3 : 8, STRIP = 160, FAILED = Infinity;
  const data = await readClips(holder);
  const say = (text) => { document.getElementById("status").textContent = text; };
  const byPrompt = data.prompts.map(() => []);
  for (const clip of data.clips) byPrompt[clip.prompt].push(clip);

  function make(name, properties = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key in element && key !== "list") element[key] = value; else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  function drawn(name, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  // ---- what is shown ----
  const [search, category, order, system, only] = ["search", "category", "order", "system", "failed"]
    .map((name) => document.getElementById(`clip-${name}`));
  const tags = [...new Set(data.prompts.flatMap((prompt) => prompt[2]))].sort();
  category.append(...tags.map((tag) => make("option", { value: tag }, tag)));
  system.append(...data.systems.map((name, place) => make("option", { value: place }, name)));
  data.metrics.forEach(([title, , arrow], index) => {
    if (arrow) order.append(make("option", { value: index }, `worst first: ${title}`));
  });
  let chosen = [], shown = 0, worst = new Map();

  const isJudged = (clip) => system.value === "" || clip.system === Number(system.value);
  const isNothing = (clip) => clip.why !== null || data.values.some((values) => isFailure(values.reason(clip.place)));
  const isFailure = (reason) => reason !== null && data.reasons[reason].startsWith("failed");

  // How bad a clip is: what could not be made or scored is worst; what has no value for a good reason does not count.
  function badness(clip, index) {
    if (clip.why !== null || isFailure(data.values[index].reason(clip.place))) return FAILED;
    const value = data.values[index].value(clip.place), arrow = data.metrics[index][2];
    if (typeof value !== "number") return -Infinity;
    return arrow === "↑" ? -value : arrow === "↓" ? value : Math.abs(value);
  }

  function rank(places, index) {
    for (const place of places) {
      const clips = byPrompt[place].filter(isJudged);
      const grades = clips.map((clip) => badness(clip, index));
      const most = Math.max(-Infinity, ...grades);
      worst.set(place, { most, clip: most > -Infinity ? clips[grades.indexOf(most)] : null });
    }
    places.sort((a, b) => {
      const [first, second] = [worst.get(a).most, worst.get(b).most];
      return (first < second ? 1 : first > second ? -1 : 0) || a - b;
    });
  }

  // An address that is no UTF-8 stays as it is.
  function decoded(text) {
    try { return decodeURIComponent(text); } catch { return text; }
  }

  const wanted = () => location.hash.startsWith("#prompt=") ? decoded(location.hash.slice(8)) : null;

  function choose() {
    const words = search.value.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
    const alone = wanted();
    document.getElementById("all-prompts").hidden = alone === null;
    worst = new Map();
    chosen = data.prompts.map((_, place) => place).filter((place) => {
      const [id, text, its] = data.prompts[place];
      if (alone !== null) return id === alone;
      const said = `${id} ${text}`.toLocaleLowerCase("en");
      return words.every((word) => said.includes(word)) && (!category.value || its.includes(category.value))
        && (!only.checked || byPrompt[place].some((clip) => isJudged(clip) && isNothing(clip)));
    });
    if (order.value !== "") rank(chosen, Number(order.value));
    home.replaceChildren();
    shown = 0;
    more();
    say(`${chosen.length} ${chosen.length === 1 ? "prompt" : "prompts"}`);
  }

  function more() {
    home.append(...chosen.slice(shown, shown + PAGE).map(article));
    shown = Math.min(chosen.length, shown + PAGE);
    document.getElementById("more-prompts").hidden = shown >= chosen.length;
    document.getElementById("clip-count").textContent = `${shown} of ${chosen.length} prompts`;
  }

  function article(place) {
    const [id, text, its] = data.prompts[place];
    const link = make("a", { className: "identity", href: `#prompt=${encodeURIComponent(id)}` }, id);
    const box = make("article", { className: "prompt" }, make("h3", {}, link));
    for (const tag of its) box.firstChild.append(" ", make("span", { className: "badge", dir: "auto" }, tag));
    box.append(make("p", { className: "text", dir: "auto" }, text));
    const bySeed = new Map();
    for (const clip of byPrompt[place]) bySeed.set(clip.seed, [...(bySeed.get(clip.seed) || []), clip]);
    for (const [seed, clips] of bySeed) box.append(group(id, seed, clips));
    return box;
  }

  function group(id, seed, clips) {
    const plays = clips.some((clip) => clip.url !== null);
    const across = [5, 6].includes(data.systems.length) ? 3 : Math.min(data.systems.length, 4);
    const shape = `${plays ? "clips" : "clips plain"} of${across}`;
    const row = make("div", { className: shape }, ...clips.map((clip) => figure(id, clip, plays)));
    const box = make("div", { className: "group" });
    if (row.querySelector("video")) box.append(keepTogether(box, row, `prompt ${id}, seed ${seed}`));
    box.append(row);
    return box;
  }

  function figure(id, clip, plays) {
    const name = data.systems[clip.system];
    const box = make("figure");
    if (clip.url !== null) {
      box.append(playerOf(clip, `${name}, prompt ${id}, seed ${clip.seed}`, name));
      const trace = data.traces[`${clip.system}/${id}/${clip.seed}`];
      if (trace) box.append(strip(trace));
    } else if (plays || clip.why !== null) {
      box.append(absent(clip.why === null ? "The clip is not part of this page." : data.reasons[clip.why]));
    }
    const caption = make("figcaption", {}, make("span", { className: `swatch s${clip.system % 6}` }),
      make("strong", { dir: "auto" }, name), " ", make("span", { className: "dim" }, `seed ${clip.seed}`));
    if (worst.get(clip.prompt)?.clip === clip) caption.append(" ", make("span", { className: "badge worst" }, "worst"));
    const offset = valueOf(clip, data.metrics.findIndex((metric) => metric[4] === "av_offset_ms"));
    if (typeof offset === "number") {
      const late = `sound ${Math.abs(Math.round(offset))} ms ${offset > 0 ? "late" : "early"}`;
      caption.append(" ", make("span", { className: "badge" }, Math.round(offset) === 0 ? "sound on time" : late));
    }
    box.append(caption);
    const values = details(clip);
    if (values) box.append(values);
    return box;
  }

  const absent = (text) => make("p", { className: "absent", dir: "auto" }, text);
  const valueOf = (clip, index) => data.values[index]?.value(clip.place) ?? null;

  // Loaded when it comes near the window; replaced by a sentence where its file is missing or cannot be decoded.
  function playerOf(clip, label, name) {
    const player = make("video", { controls: true, preload: "metadata", playsInline: true, "aria-label": label });
    Object.assign(player.dataset, { fps: clip.fps, name, src: clip.url });
    const load = () => { if (!player.hasAttribute("src")) player.src = clip.url; near.unobserve(player); };
    player.addEventListener("wanted", load);
    player.addEventListener("loadedmetadata", () => { player.currentTime = 0.5 / clip.fps; }, { once: true });
    player.addEventListener("error", () => {
      player.replaceWith(absent(`file not found, or not playable in this browser: ${decoded(clip.url)}`));
    });
    near.observe(player);
    return player;
  }

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) entry.target.dispatchEvent(new Event("wanted"));
  }, { rootMargin: "400px" });

  function details(clip) {
    const facts = data.metrics.map((metric, index) => [metric, said(clip, metric, index)]).filter(([, text]) => text !== null);
    if (!facts.length) return null;
    const box = make("details", {}, make("summary", {}, "Values"));
    const fill = () => box.append(make("dl", { className: "facts" }, ...facts.map(([[title], text]) =>
      make("div", {}, make("dt", { dir: "auto" }, title), make("dd", { dir: "auto" }, text)))));
    box.addEventListener("toggle", fill, { once: true });
    return box;
  }

  function said(clip, [, unit, , factor], index) {
    const { value, reason, digits } = data.values[index];
    const why = reason(clip.place), found = value(clip.place);
    if (why !== null) return data.reasons[why];
    if (found === null) return null;
    const number = digits === null ? Number((found * factor).toPrecision(4)) : Number((found * factor).toFixed(Math.min(digits, 12)));
    return `${number} ${unit}`.trim();
  }

  // ---- waveform with the moments at which something begins to sound (below) or to move (above) ----
  function strip([duration, peaks, sounds, motions]) {
    const svg = drawn("svg", { class: "strip-wave", viewBox: `0 0 ${STRIP} 30`, preserveAspectRatio: "none", role: "img" });
    const told = `${motions.length} sudden movements at ${motions.join(", ") || "no"} s; ${sounds.length} sound onsets at ${sounds.join(", ") || "no"} s`;
    svg.append(drawn("title", {}));
    svg.firstChild.textContent = told;
    const path = data.peaks(peaks).map((peak, place) => `M${place + 0.5} ${14.7 - 9 * peak}V${15.3 + 9 * peak}`).join("");
    svg.append(drawn("path", { class: "wave", d: path || "M0 15H160" }));
    const at = (times, name, y1, y2) => {
      for (const time of times) svg.append(drawn("line", { class: name, x1: STRIP * time / duration, x2: STRIP * time / duration, y1, y2 }));
    };
    at(motions, "moves", 0, 8);
    at(sounds, "sounds", 22, 30);
    svg.append(drawn("line", { class: "now", x1: 0, x2: 0, y1: 0, y2: 30 }));
    svg.dataset.duration = duration;
    return svg;
  }

  const events = [[search, "input"], [category, "change"], [order, "change"], [system, "change"], [only, "change"]];
  for (const [element, event] of events) element.addEventListener(event, choose);
  window.addEventListener("hashchange", () => {
    choose();
    if (location.hash.startsWith("#prompt=")) document.getElementById("clips").scrollIntoView();
  });
  document.getElementById("more-prompts").addEventListener("click", more);
  document.getElementById("clip-tools").hidden = false;
  choose();
  performance.mark("clips");
})();
