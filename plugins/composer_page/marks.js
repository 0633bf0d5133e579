// Marks: stars and a note for each piece of a gallery, kept where the browser lets them be. Knows no music.

const MOST_STARS = 5;

/** Marks of pieces by their titles' places, kept under `key`; a browser without storage keeps them while it is open. */
function createMarks(key, titles) {
  let marks = titles.map(() => ({ stars: 0, note: "" }));
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? "[]");
    marks = marks.map((mark, place) => readMark(kept[place]) ?? mark);
  } catch {
    // no storage for files, or somebody else's under this name
  }
  function keep() {
    try {
      localStorage.setItem(key, JSON.stringify(marks));
    } catch {
      // they can be saved as a file
    }
  }
  return {
    of: (place) => marks[place],
    set(place, changes) {
      marks[place] = { ...marks[place], ...changes };
      keep();
    },
    /** All marks, as they are saved. */
    text(madeBy) {
      const pieces = titles.map((title, place) => ({ piece: place, title, ...marks[place], made_by: madeBy[place] }));
      return `${JSON.stringify({ marks: pieces }, null, 1)}\n`;
    },
  };
}

function readMark(mark) {
  if (typeof mark !== "object" || mark === null || typeof mark.note !== "string") return null;
  return Number.isInteger(mark.stars) ? { stars: clamp(mark.stars, 0, MOST_STARS), note: mark.note.slice(0, 2000) } : null;
}

/** A name that is the same for the same text: 32 bits of FNV-1a. */
function nameOf(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash.toString(16);
}
