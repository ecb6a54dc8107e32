// The browser of clips: prompts a few at a time, found by text and category, in the suite's order or the worst first;
// the systems' clips of a prompt play, seek and step together.
"use strict";
(async () => {
  const holder = document.getElementById("clip-data");
  const home = document.getElementById("prompts");
  if (!holder || !home) return;
  const PAGE = 8, STRIP = 160;
  const data = JSON.parse(await textOf(holder));
  const say = (text) => { document.getElementById("status").textContent = text; };
  const byPrompt = data.prompts.map(() => []);
  for (const clip of data.clips) byPrompt[clip[0]].push(clip);

  async function textOf(element) {
    if (element.dataset.form !== "zlib") return element.textContent;
    const bytes = Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  }

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
  const search = document.getElementById("clip-search");
  const category = document.getElementById("clip-category");
  const order = document.getElementById("clip-order");
  const tags = [...new Set(data.prompts.flatMap((prompt) => prompt[2]))].sort();
  category.append(...tags.map((tag) => make("option", { value: tag }, tag)));
  data.metrics.forEach(([title, unit, arrow], index) => {
    if (arrow) order.append(make("option", { value: index }, `worst first: ${title}`));
  });
  let chosen = [], shown = 0;

  function badness(prompt, index) {
    const arrow = data.metrics[index][2];
    const values = byPrompt[prompt].map((clip) => clip[5][index]).filter((value) => typeof value === "number");
    if (!values.length) return -Infinity;
    if (arrow === "↑") return -Math.min(...values);
    return arrow === "↓" ? Math.max(...values) : Math.max(...values.map(Math.abs));
  }

  function choose() {
    const words = search.value.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
    const alone = location.hash.startsWith("#prompt=") ? decodeURIComponent(location.hash.slice(8)) : null;
    document.getElementById("all-prompts").hidden = alone === null;
    chosen = data.prompts.map((_, place) => place).filter((place) => {
      const [id, text, its] = data.prompts[place];
      if (alone !== null) return id === alone;
      const said = `${id} ${text}`.toLocaleLowerCase("en");
      return words.every((word) => said.includes(word)) && (!category.value || its.includes(category.value));
    });
    if (order.value !== "") {
      const ranks = new Map(chosen.map((place) => [place, badness(place, Number(order.value))]));
      chosen.sort((a, b) => ranks.get(b) - ranks.get(a) || a - b);
    }
    home.replaceChildren();
    shown = 0;
    more();
    say(`${chosen.length} prompts`);
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
    for (const tag of its) box.firstChild.append(" ", make("span", { className: "badge" }, tag));
    box.append(make("p", { className: "text", dir: "auto" }, text));
    const bySeed = new Map();
    for (const clip of byPrompt[place]) bySeed.set(clip[2], [...(bySeed.get(clip[2]) || []), clip]);
    for (const [seed, clips] of bySeed) box.append(group(id, seed, clips));
    return box;
  }

  function group(id, seed, clips) {
    const row = make("div", { className: `clips of${Math.min(data.systems.length, 4)}` }, ...clips.map((clip) => figure(id, clip)));
    const players = [...row.querySelectorAll("video")];
    const box = make("div", { className: "group" });
    if (players.length) box.append(controls(players, data.fps[clips[0][1]], `prompt ${id}, seed ${seed}`, row));
    box.append(row);
    return box;
  }

  function figure(id, [, system, seed, url, reason, values]) {
    const name = data.systems[system];
    const box = make("figure");
    if (url !== null) {
      const player = make("video", { controls: true, preload: "metadata", src: url, "aria-label": `${name}, prompt ${id}, seed ${seed}` });
      player.addEventListener("loadedmetadata", () => { player.currentTime = 0.5 / data.fps[system]; }, { once: true });
      box.append(player);
      const trace = data.traces[`${system}/${id}/${seed}`];
      if (trace) box.append(strip(trace));
    } else {
      box.append(make("p", { className: "absent" }, reason === null ? "The clip is not part of this page." : data.reasons[reason]));
    }
    box.append(make("figcaption", {}, make("span", { className: `swatch s${system % 6}` }), make("strong", {}, name), " ",
      make("span", { className: "dim" }, `seed ${seed}`)));
    const offset = values[data.metrics.findIndex((metric) => metric[4] === "av_offset_ms")];
    if (typeof offset === "number") {
      const said = offset === 0 ? "sound on time" : `sound ${Math.abs(Math.round(offset))} ms ${offset > 0 ? "late" : "early"}`;
      box.lastChild.append(" ", make("span", { className: "badge" }, said));
    }
    const facts = values.map((value, index) => [data.metrics[index], value]).filter(([, value]) => value !== null);
    if (facts.length) {
      const list = make("dl", { className: "facts" }, ...facts.map(([[title, unit, , factor], value]) => make("div", {},
        make("dt", {}, title),
        make("dd", {}, typeof value === "number" ? `${Number((value * factor).toPrecision(4))} ${unit}`.trim() : data.reasons[value[0]]))));
      box.append(make("details", {}, make("summary", {}, "Values"), list));
    }
    return box;
  }

  // ---- waveform with the moments at which something begins to sound (below) or to move (above) ----
  function strip([duration, peaks, sounds, motions]) {
    const svg = drawn("svg", { class: "strip-wave", viewBox: `0 0 ${STRIP} 30`, preserveAspectRatio: "none", role: "img" });
    const told = `${motions.length} sudden movements at ${motions.join(", ") || "no"} s; ${sounds.length} sound onsets at ${sounds.join(", ") || "no"} s`;
    svg.append(drawn("title", {}));
    svg.firstChild.textContent = told;
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let path = "";
    [...peaks].forEach((letter, place) => {
      const half = 0.3 + 9 * (letters.indexOf(letter) / 63);
      path += `M${place + 0.5} ${15 - half}V${15 + half}`;
    });
    svg.append(drawn("path", { class: "wave", d: path || "M0 15H160" }));
    for (const time of motions) svg.append(drawn("line", { class: "moves", x1: STRIP * time / duration, x2: STRIP * time / duration, y1: 0, y2: 8 }));
    for (const time of sounds) svg.append(drawn("line", { class: "sounds", x1: STRIP * time / duration, x2: STRIP * time / duration, y1: 22, y2: 30 }));
    const now = drawn("line", { class: "now", x1: 0, x2: 0, y1: 0, y2: 30 });
    svg.append(now);
    svg.dataset.duration = duration;
    return svg;
  }

  // ---- players that keep together ----
  function controls(players, fps, label, row) {
    const play = make("button", { type: "button", className: "play" }, "Play all");
    const back = make("button", { type: "button", "aria-label": "One frame back" }, "−1 frame");
    const next = make("button", { type: "button", "aria-label": "One frame on" }, "+1 frame");
    const bar = make("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": `Position, ${label}` });
    const time = make("output", { className: "dim" }, "0.00 s");
    const longest = () => Math.max(...players.map((player) => player.duration || 0));
    const here = () => Math.max(...players.map((player) => player.currentTime));
    const seek = (to) => {
      for (const player of players) player.currentTime = Math.min(Math.max(0, to), player.duration || 0);
    };
    const show = () => {
      const duration = longest();
      bar.value = duration ? Math.round(1000 * here() / duration) : 0;
      time.textContent = `${here().toFixed(2)} s`;
      for (const wave of row.querySelectorAll(".strip-wave")) {
        const x = STRIP * Math.min(1, here() / Number(wave.dataset.duration));
        wave.lastChild.setAttribute("x1", x);
        wave.lastChild.setAttribute("x2", x);
      }
    };
    // Half a frame into the frame: the browser then shows that frame whatever its rounding.
    const step = (frames) => {
      pause();
      seek((Math.floor(here() * fps + 1e-6) + frames + 0.5) / fps);
    };
    const pause = () => {
      for (const player of players) player.pause();
      play.textContent = "Play all";
    };
    let running = null;
    const follow = () => {
      const [first, ...others] = players.filter((player) => !player.ended);
      if (!first || players.every((player) => player.paused)) { running = null; play.textContent = "Play all"; show(); return; }
      for (const other of others) if (Math.abs(other.currentTime - first.currentTime) > 0.75 / fps) other.currentTime = first.currentTime;
      show();
      running = requestAnimationFrame(follow);
    };
    play.addEventListener("click", async () => {
      if (players.some((player) => !player.paused)) { pause(); return; }
      if (here() >= longest() - 0.5 / fps) seek(0); else seek(here());
      players.forEach((player, place) => { player.muted = place > 0; });
      await Promise.allSettled(players.map((player) => player.play()));
      play.textContent = "Pause all";
      if (running === null) running = requestAnimationFrame(follow);
    });
    back.addEventListener("click", () => step(-1));
    next.addEventListener("click", () => step(1));
    bar.addEventListener("input", () => { pause(); seek(longest() * bar.value / 1000); });
    for (const player of players) player.addEventListener("seeked", show);
    return make("div", { className: "together", role: "group", "aria-label": `All players, ${label}` }, play, back, next, bar, time);
  }

  for (const [element, event] of [[search, "input"], [category, "change"], [order, "change"]]) element.addEventListener(event, choose);
  window.addEventListener("hashchange", () => {
    choose();
    if (location.hash.startsWith("#prompt=")) document.getElementById("clips").scrollIntoView();
  });
  document.getElementById("more-prompts").addEventListener("click", more);
  document.getElementById("clip-tools").hidden = false;
  choose();
})();
