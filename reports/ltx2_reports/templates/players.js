// The systems' clips of one prompt play, seek and step together. The time of all is the median of those that play: one
// that is missing, still loading or paused by its reader holds nobody up.
"use strict";
const keepTogether = (() => {
  const KEYS = "Keys: k plays and pauses, comma and full stop step a frame, 1 to 9 choose whose sound is heard";

  function make(name, properties = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key in element && key !== "list") element[key] = value; else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  const rateOf = (player) => Number(player.dataset.fps);
  const isAble = (player) => !player.error && player.readyState >= 2 && !player.paused && !player.ended;
  const median = (numbers) => [...numbers].sort((a, b) => a - b)[(numbers.length - 1) >> 1];

  // The players of `box`, whose tracks and waveforms lie in `row`; a player that breaks is taken out by its owner.
  return function keepTogether(box, row, label) {
    const players = () => [...row.querySelectorAll("video")];
    const play = make("button", { type: "button", className: "play" }, "Play all");
    const back = make("button", { type: "button", "aria-label": "One frame back", title: KEYS }, "−1 frame");
    const next = make("button", { type: "button", "aria-label": "One frame on", title: KEYS }, "+1 frame");
    const bar = make("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": `Position, ${label}` });
    const time = make("output", { className: "dim" }, "0.00 s");
    const sound = make("select", { "aria-label": `Whose sound is heard, ${label}` });
    players().forEach((player, place) => {
      player.dataset.place = place;
      player.muted = place > 0;
      sound.append(make("option", { value: place }, player.dataset.name));
      player.addEventListener("volumechange", () => { if (!player.muted) hear(place); });
    });

    const longest = () => Math.max(0, ...players().map((player) => player.duration || 0));
    const here = () => {
      const going = players().filter(isAble);
      return going.length ? median(going.map((player) => player.currentTime))
        : Math.max(0, ...players().map((player) => player.currentTime));
    };
    const seek = (to) => {
      for (const player of players()) player.currentTime = Math.min(Math.max(0, to), player.duration || 0);
    };

    function hear(place) {
      sound.value = place;
      for (const player of players()) {
        const muted = Number(player.dataset.place) !== Number(place);
        if (player.muted !== muted) player.muted = muted;
      }
    }

    function show() {
      const duration = longest();
      bar.value = duration ? Math.round(1000 * here() / duration) : 0;
      time.textContent = `${here().toFixed(2)} s`;
      for (const wave of row.querySelectorAll(".strip-wave")) {
        const x = wave.viewBox.baseVal.width * Math.min(1, here() / Number(wave.dataset.duration));
        wave.lastChild.setAttribute("x1", x);
        wave.lastChild.setAttribute("x2", x);
      }
    }

    function pause() {
      for (const player of players()) { player.pause(); player.playbackRate = 1; }
      play.textContent = "Play all";
    }

    // Half a frame into the frame: the browser then shows that frame whatever its rounding. Each by its own rate.
    function step(frames) {
      pause();
      for (const player of players()) {
        const rate = rateOf(player);
        const to = (Math.floor(player.currentTime * rate + 1e-6) + frames + 0.5) / rate;
        player.currentTime = Math.min(Math.max(0, to), player.duration || 0);
      }
    }

    // Small distances are made good by speed, which cannot be heard; large ones by a seek. Half a frame to either side
    // of the median keeps any two within a frame.
    function keepNear(player, now) {
      const ahead = player.currentTime - now, frame = 1 / rateOf(player);
      if (Math.abs(ahead) > 0.5 * frame + 0.1) { player.currentTime = now; return; }
      const speed = Math.abs(ahead) < 0.1 * frame ? 1 : 1 - Math.max(-0.1, Math.min(0.1, 3 * ahead));
      if (Math.abs(player.playbackRate - speed) > 0.01 || speed === 1) player.playbackRate = speed;
    }

    let running = null;
    function follow() {
      if (players().every((player) => player.paused || player.ended || player.error)) {
        running = null;
        play.textContent = "Play all";
        show();
        return;
      }
      const going = players().filter((player) => isAble(player) && !player.seeking);
      const now = going.length ? median(going.map((player) => player.currentTime)) : 0;
      for (const player of going) keepNear(player, now);
      show();
      running = requestAnimationFrame(follow);
    }

    async function toggle() {
      if (players().some((player) => !player.paused && !player.ended)) { pause(); return; }
      for (const player of players()) player.dispatchEvent(new Event("wanted"));
      seek(here() >= longest() - 0.5 / Math.min(...players().map(rateOf)) ? 0 : here());
      hear(sound.value);
      play.textContent = "Pause all";
      if (running === null) running = requestAnimationFrame(follow);
      await Promise.allSettled(players().map((player) => player.play()));
    }

    play.addEventListener("click", toggle);
    back.addEventListener("click", () => step(-1));
    next.addEventListener("click", () => step(1));
    sound.addEventListener("change", () => hear(sound.value));
    bar.addEventListener("input", () => { pause(); seek(longest() * bar.value / 1000); });
    for (const player of players()) player.addEventListener("seeked", show);
    box.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
      const place = Number(event.key) - 1;
      if (event.key === "k") toggle();
      else if (event.key === ",") step(-1);
      else if (event.key === ".") step(1);
      else if (sound.options[place]) hear(sound.options[place].value);
      else return;
      event.preventDefault();
    });
    const choice = make("label", { className: "dim" }, "Sound ", sound);
    return make("div", { className: "together", role: "group", "aria-label": `All players, ${label}` },
      play, back, next, bar, time, ...(sound.options.length > 1 ? [choice] : []));
  };
})();
