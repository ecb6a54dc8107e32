// The clips that a page carries, unpacked: columns of prompts, systems and seeds, and one array of values per metric.
"use strict";
const readClips = (() => {
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const level = new Map([...LETTERS].map((letter, place) => [letter, place]));
  const NOTHING = 4095;

  async function textOf(element) {
    if (element.dataset.form !== "zlib") return element.textContent;
    const bytes = Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
  }

  // A column of values as {value(clip), reason(clip)}; unpacked at its first use.
  function column({ plain, packed, low, step, reasons }) {
    const why = new Map(reasons);
    let numbers = plain || null;
    const unpack = () => {
      numbers = Array.from({ length: packed.length / 2 }, (_, clip) => {
        const found = 64 * level.get(packed[2 * clip]) + level.get(packed[2 * clip + 1]);
        return found === NOTHING ? null : low + step * found;
      });
    };
    return {
      digits: step ? Math.max(0, 1 - Math.floor(Math.log10(step))) : null,
      value: (clip) => { if (!numbers) unpack(); return numbers[clip]; },
      reason: (clip) => why.get(clip) ?? null,
    };
  }

  return async function readClips(element) {
    const data = JSON.parse(await textOf(element));
    let prompt = 0;
    const { clips } = data;
    data.clips = clips.prompt.map((step, place) => ({
      place, prompt: prompt += step, system: clips.system[place], seed: clips.seed[place],
      url: clips.url ? clips.url[place] : null, why: clips.why[place], fps: data.fps[clips.fps[place]],
    }));
    data.values = data.values.map(column);
    data.peaks = (text) => [...text].map((letter) => level.get(letter) / 63);
    return data;
  };
})();
