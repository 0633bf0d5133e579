// Time and names: ticks to seconds, bars and beats, pitches. Knows no page and no sound.

const TICKS_PER_QUARTER = 480;
const LETTERS = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];
const DRUM_NAMES = {
  35: "Kick 2", 36: "Kick", 37: "Side stick", 38: "Snare", 39: "Clap", 40: "Snare 2", 41: "Low floor tom",
  42: "Closed hat", 43: "High floor tom", 44: "Pedal hat", 45: "Low tom", 46: "Open hat", 47: "Low-mid tom",
  48: "High-mid tom", 49: "Crash", 50: "High tom", 51: "Ride", 52: "China", 53: "Ride bell", 54: "Tambourine",
  55: "Splash", 56: "Cowbell", 57: "Crash 2", 59: "Ride 2", 70: "Maracas", 75: "Claves", 81: "Triangle",
};

const pitchName = (pitch) => LETTERS[pitch % 12] + (Math.floor(pitch / 12) - 1);
const drumName = (sound) => DRUM_NAMES[sound] ?? `Sound ${sound}`;
const isBlack = (pitch) => [1, 3, 6, 8, 10].includes(pitch % 12);
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

/** The place of the last of `values` (ascending, each made a number by `of`) that is not above `value`; -1 if all are. */
function lastUpTo(values, value, of = (item) => item) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(values[middle]) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** What is known of a piece: its notes in seconds, and functions from ticks to seconds, bars and beats. */
function readPiece(piece) {
  const tempos = readTempos(piece.tempos);
  const secondsAt = (tick) => {
    const tempo = tempos[Math.max(lastUpTo(tempos, tick, (t) => t.tick), 0)];
    return tempo.seconds + (tick - tempo.tick) * tempo.perTick;
  };
  const tickAt = (seconds) => {
    const tempo = tempos[Math.max(lastUpTo(tempos, seconds, (t) => t.seconds), 0)];
    return tempo.tick + (seconds - tempo.seconds) / tempo.perTick;
  };
  const notes = [];
  piece.tracks.forEach((track, place) => {
    for (let i = 0; i < track.notes.length; i += 4) {
      const [start, duration, pitch, velocity] = track.notes.slice(i, i + 4);
      const time = secondsAt(start);
      notes.push({ track: place, start, end: start + duration, pitch, velocity, time,
        seconds: secondsAt(start + duration) - time });
    }
  });
  notes.sort((a, b) => a.start - b.start || a.pitch - b.pitch);
  const endTick = Math.max(piece.end, 1);
  const music = { piece, notes, tempos, secondsAt, tickAt, endTick, seconds: secondsAt(endTick) };
  music.longest = notes.reduce((most, note) => Math.max(most, note.end - note.start), 0);
  music.barCount = piece.bars.length - 1;
  music.firstNumber = piece.upbeat ? 0 : 1; // an upbeat is bar 0
  return music;
}

function readTempos(changes) {
  const tempos = [];
  for (const [tick, bpm] of changes.length && changes[0][0] <= 0 ? changes : [[0, 120], ...changes]) {
    const last = tempos.at(-1);
    const seconds = last ? last.seconds + (tick - last.tick) * last.perTick : 0;
    tempos.push({ tick, bpm, seconds, perTick: 60 / bpm / TICKS_PER_QUARTER });
  }
  return tempos;
}

const barAt = (music, tick) => clamp(lastUpTo(music.piece.bars, tick), 0, music.barCount - 1);
const metreOf = (music, bar) => music.piece.metres[Math.max(lastUpTo(music.piece.metres, bar, (m) => m[0]), 0)];
const barBegin = (music, bar) => (bar === 0 ? music.piece.firstBar : music.piece.bars[bar]);

/** Where a tick is: the bar's place and number, the beat from 1. */
function placeAt(music, tick) {
  const bar = barAt(music, tick);
  const [, , length] = metreOf(music, bar);
  const beats = Math.ceil((music.piece.bars[bar + 1] - barBegin(music, bar)) / length);
  const beat = Math.floor((tick - barBegin(music, bar)) / length) + 1;
  return { bar, number: bar + music.firstNumber, beat: clamp(beat, 1, beats) };
}

/** The tick of the next beat after `tick`, or (`step` -1) of the one before. */
function nextBeat(music, tick, step) {
  const bar = barAt(music, tick);
  const [, , length] = metreOf(music, bar);
  const from = barBegin(music, bar);
  const beats = (tick - from) / length;
  const next = from + (step > 0 ? Math.floor(beats + 1.001) : Math.ceil(beats - 1.001)) * length;
  if (step > 0) return Math.min(next, music.piece.bars[bar + 1]);
  if (next >= music.piece.bars[bar] || bar === 0) return Math.max(next, 0);
  return music.piece.bars[bar] < tick ? music.piece.bars[bar] : Math.max(nextBeat(music, music.piece.bars[bar] - 1, -1), 0);
}

const clockText = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
