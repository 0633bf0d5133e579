// The transport: where the music is, and which notes are to sound soon. Knows no page, and of sound only `play`.

const SOON = 0.18; // seconds that notes are scheduled ahead, and…
const SOON_UNSEEN = 1.6; // …in a tab that is not shown, where timers come once a second
const SHORTEST_LOOP = 0.05;

/**
 * Plays the notes of `music` at `rate` times their speed.
 *
 * Time is that of `clock()`, in seconds. `play(note, at, seconds)` sounds a note; `silence(begun)` ends those that sound
 * and those to come, or (false) only the latter. Music runs along segments { clock, at }: from that time of the clock on
 * it is at that second. A loop adds a segment when its end is scheduled.
 */
function createPlayer(music, { clock, play, silence, ended }) {
  let segments = [];
  let next = 0; // place among the notes of the first one that is not scheduled
  let rate = 1;
  let loop = null; // [from, to] in seconds
  let resting = 0; // where it is while it does not play
  let playing = false;

  const clockOf = (segment, at) => segment.clock + (at - segment.at) / rate;
  const firstFrom = (at) => lastUpTo(music.notes, at - 1e-9, (note) => note.time) + 1;

  function position() {
    if (!playing) return resting;
    const now = clock();
    while (segments.length > 1 && segments[1].clock <= now) segments.shift();
    return clamp(segments[0].at + Math.max(now - segments[0].clock, 0) * rate, 0, music.seconds);
  }

  /** Go on at `at` from now on; `anew` also sounds what began before and lasts. */
  function anchor(at, anew) {
    silence(anew);
    const begin = clock() + (anew ? 0.05 : 0);
    segments = [{ clock: begin, at }];
    next = firstFrom(at);
    if (anew) {
      const early = music.secondsAt(music.tickAt(at) - music.longest);
      for (let i = firstFrom(early); i < next; i++) {
        const left = music.notes[i].time + music.notes[i].seconds - at;
        if (left > 0.05 && !music.piece.tracks[music.notes[i].track].drums) play(music.notes[i], begin, left / rate);
      }
    }
    schedule();
  }

  function schedule() {
    if (!playing) return;
    const horizon = clock() + (document.hidden ? SOON_UNSEEN : SOON);
    for (;;) {
      const segment = segments.at(-1);
      const limit = loop && segment.at < loop[1] ? loop[1] : music.seconds;
      const until = Math.min(segment.at + (horizon - segment.clock) * rate, limit);
      for (; next < music.notes.length && music.notes[next].time < until; next++) {
        const note = music.notes[next];
        play(note, Math.max(clockOf(segment, note.time), clock()), Math.min(note.seconds, limit - note.time) / rate);
      }
      if (until < limit) return;
      if (!loop || limit !== loop[1]) break;
      segments.push({ clock: clockOf(segment, limit), at: loop[0] });
      next = firstFrom(loop[0]);
    }
    if (position() >= music.seconds) {
      resting = music.seconds;
      playing = false;
      ended();
    }
  }

  return {
    position,
    schedule,
    get playing() { return playing; },
    get rate() { return rate; },
    play() {
      if (playing) return;
      if (resting >= music.seconds - 0.01) resting = loop ? loop[0] : 0;
      playing = true;
      anchor(resting, true);
    },
    pause() {
      resting = position();
      playing = false;
      silence(true);
    },
    seek(at) {
      resting = clamp(at, 0, music.seconds);
      if (playing) anchor(resting, true);
    },
    setRate(value) {
      const at = position();
      rate = value;
      if (playing) anchor(at, false);
    },
    setLoop(value) {
      const at = position();
      loop = value && value[1] - value[0] > SHORTEST_LOOP ? value : null;
      if (playing) anchor(at, false);
    },
  };
}
