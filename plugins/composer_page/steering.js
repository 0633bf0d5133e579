// What buttons, keys and the pointer do: sound on, play, seek, loop, tempo, mute and solo. Draws nothing itself.

/** Seconds of the sound's clock; without sound, of the computer's. */
const clock = () => (audio && audio.state !== "closed" ? audio.currentTime : performance.now() / 1000);

function wakeAudio() {
  const Context = window.AudioContext;
  if (!audio && Context) {
    try {
      audio = new Context({ latencyHint: "interactive" });
    } catch {
      say("This browser gives no sound; the music runs silently.");
    }
  }
  audio?.resume();
  if (audio && !current.synth) {
    current.synth = createSynth(audio, current.music.piece.tracks);
    current.synth.volume(byId("volume").value / 100);
    hearTracks();
  }
}

function isHeard(track) {
  return current.alone.size ? current.alone.has(track) : !current.muted.has(track);
}

function hearTracks() {
  current.music.piece.tracks.forEach((_, track) => current.synth?.hear(track, isHeard(track)));
}

function toggle() {
  if (current.player.playing) {
    current.player.pause();
    say(`Paused at ${placeText()}`);
  } else {
    wakeAudio();
    current.player.play();
    unseenWork ||= setInterval(() => current.player.schedule(), 30);
    requestAnimationFrame(frame);
    say("Playing");
  }
  showPlaying();
}

function stopped() {
  say("The end");
  showPlaying();
  show();
}

function seek(seconds, quietly = false) {
  current.player.seek(seconds);
  show(true);
  if (!quietly) say(placeText());
}

const seekTick = (tick, quietly) => seek(current.music.secondsAt(clamp(tick, 0, current.music.endTick)), quietly);
const tickNow = () => current.music.tickAt(current.player.position());

function step(direction, wholeBar) {
  const { music } = current;
  const tick = Math.round(tickNow());
  if (!wholeBar) return seekTick(nextBeat(music, tick, direction));
  const bar = barAt(music, tick);
  const back = tick - music.piece.bars[bar] > TICKS_PER_QUARTER / 4 ? bar : bar - 1;
  return seekTick(music.piece.bars[clamp(direction > 0 ? bar + 1 : back, 0, music.barCount)]);
}

function setLoop(first, last, on = true) {
  const { music } = current;
  loopBars = [clamp(Math.min(first, last), 0, music.barCount - 1), clamp(Math.max(first, last), 0, music.barCount - 1)];
  looping = on;
  byId("loop-from").value = loopBars[0] + music.firstNumber;
  byId("loop-to").value = loopBars[1] + music.firstNumber;
  applyLoop();
}

function applyLoop() {
  const { music } = current;
  byId("loop").setAttribute("aria-pressed", String(looping));
  const ticks = [music.piece.bars[loopBars[0]], Math.min(music.piece.bars[loopBars[1] + 1], music.endTick)];
  current.player.setLoop(looping ? ticks.map(music.secondsAt) : null);
  current.roll.draw();
}

function toggleLoop() {
  looping = !looping;
  applyLoop();
  const [from, to] = loopBars.map((bar) => bar + current.music.firstNumber);
  say(looping ? `Looping bars ${from} to ${to}` : "Loop off");
  const tick = tickNow();
  const { bars } = current.music.piece;
  if (looping && (tick < bars[loopBars[0]] || tick >= bars[loopBars[1] + 1])) seekTick(bars[loopBars[0]], true);
}

function setTempo(percent) {
  const value = clamp(Math.round(percent), 25, 200);
  byId("tempo").value = value;
  current.player.setRate(value / 100);
  showTempo();
}

function flip(set, track, word) {
  const { name } = current.music.piece.tracks[track];
  if (set.delete(track)) say(`${name}: not ${word}`);
  else {
    set.add(track);
    say(`${name}: ${word}`);
  }
  showTracks();
}

function showTracks() {
  hearTracks();
  for (const [track, item] of [...byId("tracks").children].entries()) {
    item.classList.toggle("silent", !isHeard(track));
    const [mute, alone] = item.querySelectorAll("button");
    mute.setAttribute("aria-pressed", String(current.muted.has(track)));
    alone.setAttribute("aria-pressed", String(current.alone.has(track)));
  }
  current.roll.draw();
}

function trackItem(track, place) {
  const chip = make("span", { class: "chip" });
  chip.style.background = `var(--track-${place % 8})`;
  const key = place < MUTABLE ? [` (${place + 1})`, ` (Shift+${place + 1})`] : ["", ""];
  const mute = make("button", { type: "button", "aria-pressed": "false", "aria-label": `Mute ${track.name}`, title: `Mute${key[0]}` }, "M");
  const alone = make("button", { type: "button", "aria-pressed": "false", "aria-label": `Solo ${track.name}`, title: `Solo${key[1]}` }, "S");
  mute.addEventListener("click", () => flip(current.muted, place, "muted"));
  alone.addEventListener("click", () => flip(current.alone, place, "solo"));
  return make("li", { class: "track" }, chip, make("span", { class: "name", title: track.name }, track.name), mute, alone);
}
