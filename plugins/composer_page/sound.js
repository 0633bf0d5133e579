// A small synthesiser: one timbre for each General MIDI family, drums from noise. Knows no page and no bars.

// Strengths of the harmonics; attack, decay and release in seconds; sustain as a part of the peak; brightness: how many
// harmonics the low-pass lets through; detune in cents between two voices; vibrato in cents.
const TIMBRES = [
  { harmonics: [1, 0.45, 0.28, 0.14, 0.1, 0.05, 0.03], attack: 0.004, decay: 1.1, sustain: 0.12, release: 0.22, bright: 6 }, // piano
  { harmonics: [1, 0, 0, 0.3, 0, 0, 0, 0, 0.08], attack: 0.002, decay: 1.0, sustain: 0, release: 0.5, bright: 10 }, // bells
  { harmonics: [1, 0.7, 0.4, 0.35, 0, 0.2, 0, 0.15], attack: 0.018, decay: 0.1, sustain: 0.9, release: 0.1, bright: 7 }, // organ
  { harmonics: [1, 0.6, 0.4, 0.22, 0.14, 0.08, 0.05], attack: 0.003, decay: 0.7, sustain: 0.06, release: 0.18, bright: 7 }, // guitar
  { harmonics: [1, 0.5, 0.22, 0.1, 0.04], attack: 0.006, decay: 0.6, sustain: 0.4, release: 0.12, bright: 5, gain: 1.25 }, // bass
  { harmonics: [1, 0.5, 0.36, 0.26, 0.18, 0.14, 0.1], attack: 0.06, decay: 0.3, sustain: 0.8, release: 0.22, bright: 6, detune: 7, vibrato: 6 }, // strings
  { harmonics: [1, 0.5, 0.26, 0.12, 0.08, 0.04], attack: 0.06, decay: 0.25, sustain: 0.85, release: 0.28, bright: 4.5, detune: 8, vibrato: 7 }, // voices
  { harmonics: [1, 0.8, 0.65, 0.45, 0.3, 0.2, 0.12], attack: 0.03, decay: 0.2, sustain: 0.75, release: 0.12, bright: 5 }, // brass
  { harmonics: [1, 0.12, 0.6, 0.1, 0.35, 0.06, 0.16], attack: 0.025, decay: 0.1, sustain: 0.85, release: 0.1, bright: 6, vibrato: 4 }, // reeds
  { harmonics: [1, 0.22, 0.07, 0.03], attack: 0.04, decay: 0.1, sustain: 0.9, release: 0.13, bright: 5, vibrato: 9, gain: 1.15 }, // flutes
  { harmonics: [1, 0.5, 0.33, 0.25, 0.2, 0.16], attack: 0.008, decay: 0.3, sustain: 0.7, release: 0.12, bright: 4 }, // leads
  { harmonics: [1, 0.4, 0.25, 0.12, 0.06], attack: 0.25, decay: 0.4, sustain: 0.85, release: 0.7, bright: 4, detune: 10 }, // pads
  { harmonics: [1, 0.3, 0.2, 0.3, 0.1], attack: 0.12, decay: 0.8, sustain: 0.5, release: 0.6, bright: 5, detune: 12 }, // effects
  { harmonics: [1, 0.7, 0.5, 0.35, 0.2, 0.12], attack: 0.003, decay: 0.5, sustain: 0.03, release: 0.15, bright: 8 }, // plucked
  { harmonics: [1, 0, 0.35, 0, 0.1], attack: 0.002, decay: 0.3, sustain: 0, release: 0.2, bright: 7 }, // struck
  { harmonics: [1, 0.2, 0.1], attack: 0.05, decay: 0.3, sustain: 0.4, release: 0.3, bright: 4 }, // noises
];
const WIDTH = 0.45; // how far tracks are spread between the left (-1) and the right (1)
const HEADROOM = 0.7; // the limiter makes up for what it takes away, and could clip
const ROOM = 0.2; // how much of the sound goes through the reverb

/** Plays notes of so many tracks on `context` (an AudioContext or an OfflineAudioContext). */
function createSynth(context, tracks) {
  const master = context.createGain();
  const limiter = context.createDynamicsCompressor();
  const room = context.createConvolver();
  const wet = context.createGain();
  const output = context.createGain();
  limiter.threshold.value = -14;
  limiter.ratio.value = 8;
  wet.gain.value = ROOM;
  room.buffer = roomOf(context);
  master.connect(limiter);
  master.connect(room).connect(wet).connect(limiter);
  output.gain.value = HEADROOM;
  limiter.connect(output).connect(context.destination);

  const waves = new Map();
  const noise = noiseOf(context);
  const sounding = new Set(); // what is to be stopped: { gain, sources, start }
  const outputs = tracks.map((track, place) => {
    const gain = context.createGain();
    const pan = context.createStereoPanner();
    pan.pan.value = tracks.length > 1 && !track.drums ? WIDTH * ((2 * place) / (tracks.length - 1) - 1) : 0;
    gain.connect(pan).connect(master);
    return gain;
  });

  function waveOf(family) {
    if (!waves.has(family)) {
      const harmonics = [0, ...TIMBRES[family].harmonics];
      waves.set(family, context.createPeriodicWave(new Float32Array(harmonics.length), new Float32Array(harmonics)));
    }
    return waves.get(family);
  }

  function remember(gain, sources, start) {
    const voice = { gain, sources, start };
    sounding.add(voice);
    sources[0].onended = () => {
      sounding.delete(voice);
      gain.disconnect();
    };
  }

  function playNote(track, pitch, loudness, start, seconds) {
    const family = clamp(tracks[track].program >> 3, 0, TIMBRES.length - 1);
    const timbre = TIMBRES[family];
    const frequency = 440 * 2 ** ((pitch - 69) / 12);
    const filter = context.createBiquadFilter();
    const gain = context.createGain();
    filter.type = "lowpass";
    filter.Q.value = 0.3;
    filter.frequency.value = Math.min((frequency * timbre.bright + 500) * (0.45 + 0.75 * loudness), 14000);
    const cents = timbre.detune ? [-timbre.detune / 2, timbre.detune / 2] : [0];
    const peak = (loudness * (timbre.gain ?? 1) * 0.34) / cents.length ** 0.7;
    const end = envelope(gain.gain, timbre, peak, start, seconds);
    const sources = cents.map((detune) => {
      const source = context.createOscillator();
      source.setPeriodicWave(waveOf(family));
      source.frequency.value = frequency;
      source.detune.value = detune;
      source.connect(filter);
      return source;
    });
    if (timbre.vibrato && seconds > 0.35) sources.push(vibrato(sources, timbre.vibrato, start));
    filter.connect(gain).connect(outputs[track]);
    for (const source of sources) {
      source.start(start);
      source.stop(end + 0.02);
    }
    remember(gain, sources, start);
  }

  /** A slow wave on the pitch of `sources` that sets in late, as players do. */
  function vibrato(sources, depth, start) {
    const wave = context.createOscillator();
    const amount = context.createGain();
    wave.frequency.value = 5.2;
    amount.gain.setValueAtTime(0, start);
    amount.gain.linearRampToValueAtTime(depth, start + 0.6);
    wave.connect(amount);
    for (const source of sources) amount.connect(source.detune);
    return wave;
  }

  function playDrum(track, sound, loudness, start) {
    const gain = context.createGain();
    const drum = drumOf(sound);
    const sources = [];
    if (drum.tone) {
      const source = context.createOscillator();
      source.frequency.setValueAtTime(drum.tone[0], start);
      source.frequency.exponentialRampToValueAtTime(drum.tone[1], start + drum.seconds * 0.6);
      source.connect(gain);
      sources.push(source);
    }
    if (drum.noise) {
      const source = context.createBufferSource();
      const filter = context.createBiquadFilter();
      const level = context.createGain();
      source.buffer = noise;
      source.loop = true;
      [filter.type, filter.frequency.value] = drum.noise;
      level.gain.value = drum.tone ? 0.5 : 0.7;
      source.connect(filter).connect(level).connect(gain);
      sources.push(source);
    }
    gain.gain.setValueAtTime(loudness * drum.gain, start);
    gain.gain.exponentialRampToValueAtTime(0.001, start + drum.seconds);
    gain.connect(outputs[track]);
    for (const source of sources) {
      source.start(start);
      source.stop(start + drum.seconds + 0.02);
    }
    remember(gain, sources, start);
  }

  return {
    /** Sound a note from `start` on, a time of the context, for so many seconds. */
    play(track, pitch, velocity, start, seconds) {
      const loudness = (velocity / 127) ** 1.4;
      if (tracks[track].drums) playDrum(track, pitch, loudness, start);
      else playNote(track, pitch, loudness, start, Math.max(seconds, 0.03));
    },
    /** End every note now; with `begun` false, only those that have not begun. */
    silence(begun = true) {
      const now = context.currentTime;
      for (const voice of sounding) {
        if (voice.start <= now && !begun) continue;
        voice.gain.gain.cancelScheduledValues(now);
        voice.gain.gain.setTargetAtTime(0, now, 0.015);
        for (const source of voice.sources) source.stop(Math.max(now, voice.start) + 0.08);
        sounding.delete(voice);
      }
    },
    /** Fall silent for good. */
    close() {
      this.silence();
      setTimeout(() => output.disconnect(), 200);
    },
    /** Let a track be heard, or not. */
    hear(track, audible) {
      outputs[track].gain.setTargetAtTime(audible ? 1 : 0, context.currentTime, 0.012);
    },
    /** Loudness of all, 0 to 1. */
    volume(value) {
      master.gain.setTargetAtTime(value * value, context.currentTime, 0.012);
    },
  };
}

/** Rise, fall to what is sustained, and fade after the note's end. Gives the time at which it is silent. */
function envelope(gain, timbre, peak, start, seconds) {
  const top = start + Math.min(timbre.attack, seconds * 0.6);
  const released = start + seconds;
  const end = released + timbre.release * 4; // at a 600th, so that the end is no click
  gain.setValueAtTime(0, start);
  gain.linearRampToValueAtTime(peak, top);
  gain.setTargetAtTime(peak * timbre.sustain, top, timbre.decay / 2);
  gain.setTargetAtTime(0, released, timbre.release / 1.6);
  gain.setValueAtTime(0, end);
  return end;
}

/** How a sound of the General MIDI drum set is made: a tone that falls, filtered noise, or both. */
function drumOf(sound) {
  if (sound === 35 || sound === 36) return { tone: [130, 42], seconds: 0.32, gain: 0.95 };
  if (sound === 38 || sound === 40) return { tone: [220, 150], noise: ["highpass", 1400], seconds: 0.2, gain: 0.5 };
  if (sound === 37 || sound === 39 || sound === 75 || sound === 76 || sound === 77) {
    return { noise: ["bandpass", 1900], seconds: 0.09, gain: 0.6 };
  }
  if ([41, 43, 45, 47, 48, 50].includes(sound)) {
    const pitch = 80 + (sound - 41) * 16;
    return { tone: [pitch * 1.5, pitch], seconds: 0.34, gain: 0.6 };
  }
  if ([60, 61, 62, 63, 64, 65, 66].includes(sound)) {
    const pitch = 330 - (sound - 60) * 26;
    return { tone: [pitch * 1.2, pitch], seconds: 0.2, gain: 0.45 };
  }
  if (sound === 46 || sound === 54) return { noise: ["highpass", 7000], seconds: 0.32, gain: 0.26 };
  if ([49, 52, 55, 57].includes(sound)) return { noise: ["highpass", 4500], seconds: 1.3, gain: 0.34 };
  if ([51, 53, 59].includes(sound)) return { noise: ["highpass", 6500], seconds: 0.55, gain: 0.2 };
  if (sound === 56 || sound === 67 || sound === 68 || sound === 81) return { tone: [830, 800], seconds: 0.2, gain: 0.22 };
  return { noise: ["highpass", 8000], seconds: 0.06, gain: 0.26 }; // hats, shakers and the rest
}

/** Numbers between -1 and 1 that are the same each time. */
function* random(seed) {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 31 - 1;
  }
}

function noiseOf(context) {
  const buffer = context.createBuffer(1, context.sampleRate, context.sampleRate);
  const numbers = random(1);
  const data = buffer.getChannelData(0);
  for (let i = 0; i < data.length; i++) data[i] = numbers.next().value;
  return buffer;
}

/** The echo of a small hall: noise that dies away, its high parts first. */
function roomOf(context) {
  const length = Math.floor(context.sampleRate * 1.5);
  const buffer = context.createBuffer(2, length, context.sampleRate);
  for (const channel of [0, 1]) {
    const data = buffer.getChannelData(channel);
    const numbers = random(channel + 2);
    let smooth = 0;
    for (let i = 0; i < length; i++) {
      const age = i / length;
      smooth += (numbers.next().value - smooth) * (0.75 - 0.6 * age);
      data[i] = smooth * (1 - age) ** 3.2;
    }
  }
  return buffer;
}
