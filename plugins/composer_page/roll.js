// The piano roll on a canvas: grid, notes, velocities, loop. Knows no sound; time comes in as ticks.

const KEYS = 52; // px of pitch names and keys at the left
const RULER = 26;
const WORDS = 22; // markers, chords
const VELOCITIES = 38;
const COMFORTABLE = 26; // px to a quarter note, where the piece is wider than the screen
const CROWDED = 11; // and the least at which all of it is shown at once
const WIDEST = 8e6; // px that browsers can scroll

/** Lanes for pitches and drum sounds: how many, and how far from the top a note's is. */
function lanesOf(music) {
  const sounding = (drums) => music.notes.filter((note) => music.piece.tracks[note.track].drums === drums);
  const pitched = sounding(false).map((note) => note.pitch);
  const sounds = [...new Set(sounding(true).map((note) => note.pitch))].sort((a, b) => b - a);
  let high = -1;
  let low = 0;
  if (pitched.length || !sounds.length) {
    high = pitched.length ? pitched.reduce((a, b) => Math.max(a, b)) + 2 : 72;
    low = pitched.length ? pitched.reduce((a, b) => Math.min(a, b)) - 2 : 60;
    const missing = Math.max(15 - (high - low + 1), 0);
    low = Math.max(low - Math.floor(missing / 2), 0);
    high = Math.min(high + Math.ceil(missing / 2), 127);
  }
  const pitches = high - low + 1 > 0 ? high - low + 1 : 0;
  const size = clamp(Math.floor(320 / Math.max(pitches, 1)), 4, 12);
  const drum = 14;
  const height = pitches * size + sounds.length * drum;
  const top = (note, drums) => (drums ? pitches * size + sounds.indexOf(note.pitch) * drum : (high - note.pitch) * size);
  return { high, low, pitches, sounds, size, drum, height, top };
}

/** Rectangles of all notes of a piece in a box so large; for the small pictures of a gallery. */
function drawSmall(canvas, music, colours) {
  const lanes = lanesOf(music);
  const pen = canvas.getContext("2d");
  const [wide, high] = [canvas.width, canvas.height];
  pen.clearRect(0, 0, wide, high);
  for (const note of music.notes) {
    const drums = music.piece.tracks[note.track].drums;
    const lane = (drums ? lanes.drum : lanes.size) / lanes.height;
    pen.fillStyle = colours[note.track % colours.length];
    const length = Math.max(((note.end - note.start) / music.endTick) * wide - 1, 1.5);
    const y = (lanes.top(note, drums) / lanes.height) * high;
    pen.fillRect((note.start / music.endTick) * wide, y, length, Math.max(lane * high - 1, 2));
  }
}

/**
 * The roll of `music` in `parts` { box, scroller, space, canvas, playhead }.
 *
 * `view` is asked at each drawing: { colours, tick, heard(track), loop: [first, last] bars or null, offset }.
 */
function createRoll(music, parts, view) {
  const lanes = lanesOf(music);
  const { piece } = music;
  const words = (piece.markers.length > 0) * WORDS + (piece.chords.length > 0) * WORDS;
  const roll = RULER + words; // where the lanes begin
  const below = roll + lanes.height + 6;
  const height = below + VELOCITIES;
  let scale = 1; // px to a tick
  let zoom = null; // px to a quarter note, when somebody chose it

  const x = (tick) => KEYS + tick * scale - parts.scroller.scrollLeft;
  const tickOf = (clientX) => {
    const left = clientX - parts.scroller.getBoundingClientRect().left;
    return clamp((left - KEYS + parts.scroller.scrollLeft) / scale, 0, music.endTick);
  };

  function layOut() {
    const wide = parts.box.clientWidth;
    const all = piece.bars.at(-1);
    const fit = ((wide - KEYS - 12) / all) * TICKS_PER_QUARTER;
    const quarter = Math.max(zoom ?? (fit >= CROWDED ? fit : COMFORTABLE), Math.min(fit, CROWDED));
    scale = Math.min(quarter / TICKS_PER_QUARTER, WIDEST / all);
    parts.space.style.width = `${Math.max(Math.floor(KEYS + all * scale), 1)}px`;
    parts.space.style.height = `${height}px`;
    const ratio = window.devicePixelRatio || 1;
    parts.canvas.width = Math.round(wide * ratio);
    parts.canvas.height = Math.round(height * ratio);
    parts.canvas.style.width = `${wide}px`;
    parts.canvas.style.height = `${height}px`;
    parts.playhead.style.height = `${height - RULER + 8}px`;
    parts.playhead.style.top = `${RULER - 8}px`;
    draw();
  }

  function draw() {
    const pen = parts.canvas.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    const wide = parts.canvas.width / ratio;
    const { colours, tick } = view();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = colours.panel;
    pen.fillRect(0, 0, wide, height);
    drawGround(pen, wide, colours);
    drawBars(pen, wide, colours);
    drawNotes(pen, wide, view());
    drawWords(pen, wide, colours);
    drawKeys(pen, colours);
    const at = x(tick);
    parts.playhead.style.transform = `translateX(${at.toFixed(1)}px)`;
    parts.playhead.hidden = at < KEYS - 1 || at > wide;
  }

  function drawGround(pen, wide, colours) {
    pen.fillStyle = colours.lane;
    pen.fillRect(KEYS, roll, wide, lanes.height);
    pen.fillRect(KEYS, below, wide, VELOCITIES);
    for (let pitch = lanes.low; pitch <= lanes.high; pitch++) {
      const y = roll + (lanes.high - pitch) * lanes.size;
      pen.fillStyle = colours.darkLane;
      if (isBlack(pitch)) pen.fillRect(KEYS, y, wide, lanes.size);
      pen.fillStyle = colours.octave;
      if (pitch % 12 === 0) pen.fillRect(KEYS, y + lanes.size - 0.5, wide, 1);
    }
    lanes.sounds.forEach((_, place) => {
      pen.fillStyle = place ? colours.darkLane : colours.octave;
      const y = roll + lanes.pitches * lanes.size + place * lanes.drum;
      if (place % 2 || !place) pen.fillRect(KEYS, y, wide, place ? lanes.drum : 1);
    });
  }

  function drawBars(pen, wide, colours) {
    const { loop } = view();
    const first = barAt(music, (parts.scroller.scrollLeft - 4) / scale);
    const end = barAt(music, (parts.scroller.scrollLeft + wide) / scale);
    const barWidth = ((piece.bars[end + 1] - piece.bars[first]) * scale) / (end + 1 - first);
    const step = [1, 2, 4, 5, 10, 20, 50, 100, 500, 1000, 10000].find((n) => n * barWidth >= 30) ?? 10000;
    if (loop) {
      const [from, to] = [x(piece.bars[loop[0]]), x(piece.bars[loop[1] + 1])];
      pen.fillStyle = colours.loop;
      pen.fillRect(from, 0, to - from, height);
      pen.fillStyle = colours.accent;
      pen.fillRect(from, RULER - 3, to - from, 3);
    }
    pen.font = `12px ${colours.font}`;
    for (let bar = first; bar <= end; bar++) {
      const at = Math.round(x(piece.bars[bar]));
      const number = bar + music.firstNumber;
      const [from, , beat] = [barBegin(music, bar), 0, metreOf(music, bar)[2]];
      if (beat * scale >= 8) {
        pen.fillStyle = colours.beat;
        for (let tick = from + beat; tick < piece.bars[bar + 1]; tick += beat) {
          if (tick > piece.bars[bar]) pen.fillRect(Math.round(x(tick)), roll, 1, height - roll);
        }
      }
      if ((number - 1) % step === 0 || bar === 0) {
        pen.fillStyle = colours.bar;
        pen.fillRect(at, RULER, 1, height - RULER);
        pen.fillStyle = colours.muted;
        pen.fillText(String(number), at + 4, RULER - 9);
      }
    }
    pen.fillStyle = colours.bar;
    pen.fillRect(Math.round(x(piece.bars.at(-1))), RULER, 1, height - RULER);
  }

  function drawNotes(pen, wide, { colours, tick, heard, playing }) {
    const from = parts.scroller.scrollLeft / scale - music.longest;
    const to = (parts.scroller.scrollLeft + wide) / scale;
    const first = lastUpTo(music.notes, from - 1, (n) => n.start) + 1;
    for (const isHeard of [false, true]) { // what is heard lies above what is not
      for (let i = first; i < music.notes.length && music.notes[i].start <= to; i++) {
        const note = music.notes[i];
        if (heard(note.track) !== isHeard || x(note.end) < KEYS - 20) continue;
        drawNote(pen, note, colours, isHeard, playing && note.start <= tick && tick < note.end);
      }
    }
    pen.globalAlpha = 1;
  }

  function drawNote(pen, note, colours, isHeard, sounds) {
    const drums = piece.tracks[note.track].drums;
    const colour = colours.tracks[note.track % colours.tracks.length];
    const left = x(note.start);
    const length = Math.max((note.end - note.start) * scale - 1.2, drums ? 5 : 2);
    const high = drums ? lanes.drum : lanes.size;
    const top = roll + lanes.top(note, drums);
    pen.globalAlpha = isHeard ? 1 : 0.22;
    pen.fillStyle = colour;
    pen.beginPath();
    pen.roundRect(left, top + 0.75, length, high - 1.5, Math.min(3, high / 3, length / 2));
    pen.fill();
    if (sounds && isHeard) {
      pen.strokeStyle = colours.text;
      pen.lineWidth = 1.5;
      pen.stroke();
    }
    const strength = (note.velocity / 127) * (VELOCITIES - 4);
    pen.fillRect(left + (note.track % 8) * 2.5, below + VELOCITIES - strength, 2, strength);
  }

  function drawWords(pen, wide, colours) {
    const rows = [[piece.markers, true], [piece.chords, false]].filter(([texts]) => texts.length);
    rows.forEach(([texts, isMarker], row) => {
      const y = RULER + row * WORDS;
      pen.font = `600 12px ${colours.font}`;
      texts.forEach(([tick, text], place) => {
        const at = x(tick);
        const room = (place + 1 < texts.length ? x(texts[place + 1][0]) : Infinity) - at - 6;
        if (at > wide || at < KEYS - 200 || room < 12) return;
        const wanted = Math.min(pen.measureText(text).width + (isMarker ? 12 : 6), room);
        pen.save();
        pen.beginPath();
        pen.rect(at, y, wanted, WORDS);
        pen.clip();
        pen.fillStyle = colours.text;
        if (isMarker) {
          pen.beginPath();
          pen.roundRect(at + 1, y + 2, wanted - 1, WORDS - 5, 4);
          pen.fill();
          pen.fillStyle = colours.panel;
        }
        pen.fillText(text, at + (isMarker ? 6 : 3), y + 15);
        pen.restore();
      });
    });
  }

  function drawKeys(pen, colours) {
    pen.fillStyle = colours.panel;
    pen.fillRect(0, 0, KEYS, height);
    pen.font = `11px ${colours.font}`;
    pen.textAlign = "right";
    for (let pitch = lanes.high; pitch >= lanes.low; pitch--) {
      const y = roll + (lanes.high - pitch) * lanes.size;
      pen.fillStyle = isBlack(pitch) ? colours.ebony : colours.ivory;
      pen.fillRect(KEYS - 14, y, 12, lanes.size);
      pen.fillStyle = colours.octave;
      if (pitch % 12 === 0 || pitch % 12 === 5) pen.fillRect(KEYS - 14, y + lanes.size - 0.5, 12, 1);
      pen.fillStyle = pitch % 12 ? colours.muted : colours.text;
      const named = pitch % 12 === 0 || (lanes.size >= 9 && pitch % 12 === 7);
      if (named) pen.fillText(pitchName(pitch), KEYS - 19, y + lanes.size / 2 + 4);
    }
    pen.font = `9px ${colours.font}`;
    pen.fillStyle = colours.muted;
    lanes.sounds.forEach((sound, place) => {
      const y = roll + lanes.pitches * lanes.size + (place + 0.5) * lanes.drum + 3;
      pen.fillText(drumName(sound), KEYS - 4, y, KEYS - 6);
    });
    pen.fillText("velocity", KEYS - 6, below + 12);
    pen.textAlign = "left";
  }

  /** Bring the playhead into view, a screen at a time. */
  function follow(tick) {
    const wide = parts.box.clientWidth;
    const at = x(tick);
    if (at >= KEYS - 1 && at <= wide - 24) return;
    parts.scroller.scrollLeft = Math.max(tick * scale - (wide - KEYS) * 0.08, 0);
  }

  return {
    layOut, draw, follow, tickOf, height,
    inRuler: (clientY) => clientY - parts.scroller.getBoundingClientRect().top < RULER,
    zoomBy(factor) {
      zoom = clamp(scale * TICKS_PER_QUARTER * factor, 1, 400);
      layOut();
    },
    about: () => {
      const pitches = music.notes.filter((n) => !piece.tracks[n.track].drums).map((n) => n.pitch);
      const low = pitches.reduce((a, b) => Math.min(a, b), 127);
      const high = pitches.reduce((a, b) => Math.max(a, b), 0);
      const range = pitches.length ? `, from ${pitchName(low)} to ${pitchName(high)}` : "";
      return `Piano roll: ${count(piece.tracks.length, "track")}, ${count(music.notes.length, "note")}${range}.`;
    },
  };
}
