// The page itself: buttons, keys, and what is shown of the piece in hand. All words go in as text, never as markup.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const pieces = data.pieces;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const MUTABLE = 9; // tracks that have a digit

let audio = null; // the AudioContext, from the first time that somebody plays
let current = null; // the piece in hand: { place, music, player, roll, synth, muted, alone }
let colours = readColours();
let loopBars = null; // [first, last], places of bars
let looping = false;
let unseenWork = 0;

const marks = createMarks(`composer-marks-${nameOf(byId("data").textContent)}`, pieces.map((piece) => piece.title));

/** An element with attributes, properties of `own`, and children that are elements or text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function say(text) {
  byId("said").textContent = text;
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    panel: of("panel"), text: of("text"), muted: of("muted"), accent: of("accent"), lane: of("lane"),
    darkLane: of("dark-lane"), octave: of("octave"), beat: of("beat"), bar: of("bar"), ivory: of("ivory"),
    ebony: of("ebony"), loop: of("loop"), font: of("font"),
    tracks: Array.from({ length: 8 }, (_, place) => of(`track-${place}`)),
  };
}

// --- sound ----------------------------------------------------------------------------------------------------------

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

// --- play, seek, loop -----------------------------------------------------------------------------------------------

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

// --- tracks ---------------------------------------------------------------------------------------------------------

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

// --- what is shown --------------------------------------------------------------------------------------------------

function placeText() {
  const { number, beat } = placeAt(current.music, Math.round(tickNow()));
  return `bar ${number}, beat ${beat}, ${clockText(current.player.position())}`;
}

function frame() {
  show();
  if (current.player.playing) requestAnimationFrame(frame);
}

/** Show where the music is; `force` also when the playhead is out of view and nothing plays. */
function show(force = false) {
  const { music, player, roll } = current;
  const seconds = player.position();
  const place = placeAt(music, Math.round(music.tickAt(seconds)));
  byId("time").textContent = clockText(seconds);
  byId("place").textContent = `bar ${place.number}, beat ${place.beat}`;
  const slider = byId("position");
  slider.value = seconds;
  slider.setAttribute("aria-valuetext", `bar ${place.number}, beat ${place.beat}, ${clockText(seconds)} of ${clockText(music.seconds)}`);
  if (force || player.playing) roll.follow(music.tickAt(seconds));
  roll.draw();
  showBar(place.bar);
}

function showPlaying() {
  const { playing } = current.player;
  byId("play").classList.toggle("playing", playing);
  byId("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  if (!playing && unseenWork) {
    clearInterval(unseenWork);
    unseenWork = 0;
  }
}

function showTempo() {
  const rate = byId("tempo").value / 100;
  const bpm = (current.music.piece.tempos[0]?.[1] ?? 120) * rate;
  byId("tempo-shown").textContent = `${Math.round(bpm)} bpm`;
  byId("tempo").setAttribute("aria-valuetext", `${byId("tempo").value} %, ${Math.round(bpm)} beats per minute`);
}

/** Mark the bar that sounds on the engraved score. */
function showBar(bar) {
  const place = current.music.piece.places?.[bar];
  const mark = byId("bar-mark");
  mark.hidden = !place;
  if (!place || mark.dataset.bar === String(bar)) return;
  mark.dataset.bar = bar;
  ["left", "top", "width", "height"].forEach((side, i) => { mark.style[side] = `${place[i] * 100}%`; });
  const paper = byId("score-part").querySelector(".paper");
  const [top, bottom] = [mark.offsetTop, mark.offsetTop + mark.offsetHeight];
  if (paper.scrollHeight > paper.clientHeight && (top < paper.scrollTop || bottom > paper.scrollTop + paper.clientHeight)) {
    paper.scrollTo({ top: top - 20, behavior: still.matches ? "auto" : "smooth" });
  }
}

function shownTick() {
  const tick = tickNow();
  if (!still.matches || !current.player.playing) return tick;
  const { music } = current; // with less motion, the playhead goes from beat to beat
  const bar = barAt(music, tick);
  const length = metreOf(music, bar)[2];
  return Math.max(barBegin(music, bar) + Math.floor((tick - barBegin(music, bar)) / length) * length, 0);
}

// --- other forms of the piece ---------------------------------------------------------------------------------------

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

function save(bytes, name, type) {
  const address = URL.createObjectURL(new Blob([bytes], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const FORMS = {
  ".mid": ["MIDI", "audio/midi"],
  ".musicxml": ["MusicXML", "application/vnd.recordare.musicxml+xml"],
};

function showDownloads(piece) {
  const buttons = Object.entries(FORMS).filter(([suffix]) => piece.forms[suffix]).map(([suffix, [name, type]]) => {
    const button = make("button", { type: "button", class: "download", title: `Save as ${piece.file}${suffix}` }, name);
    button.addEventListener("click", async () => save(await unpack(piece.forms[suffix]), piece.file + suffix, type));
    return button;
  });
  byId("downloads").replaceChildren(...buttons);
  const missing = Object.entries(piece.missing).map(([suffix, why]) => `No ${suffix}: ${why}`);
  byId("missing").textContent = missing.join(" ");
  byId("missing").hidden = missing.length === 0;
}

async function showScore(piece) {
  const packed = piece.forms[".svg"];
  byId("score-part").hidden = !packed;
  byId("bar-mark").dataset.bar = "";
  if (!packed) return;
  const image = byId("score");
  const bytes = await unpack(packed);
  if (current.music.piece !== piece) return;
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(new Blob([bytes], { type: "image/svg+xml" }));
  image.alt = `The score of ${piece.title}`;
}

function seekOnScore(event) {
  const { places, bars } = current.music.piece;
  const box = byId("score").getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  const bar = places?.findIndex(([left, top, wide, high]) => x >= left && x < left + wide && y >= top && y < top + high);
  if (bar >= 0) seekTick(bars[bar]);
}

// --- what made it ---------------------------------------------------------------------------------------------------

function factsOf(piece) {
  const made = piece.madeBy;
  const asked = typeof made.request === "object" && made.request !== null ? made.request : {};
  const chain = Array.isArray(asked.samplers) ? asked.samplers : [];
  const samplers = chain.map((link) => [link?.name, ...Object.values(link?.options ?? {})].map(textOf).join(" "));
  const nats = made.nats?.model;
  const notes = current.music.notes.length;
  const facts = [
    ["Model", made.model && [made.model, made.model_hash && `(${textOf(made.model_hash).slice(0, 12)})`].filter(Boolean).map(textOf).join(" ")],
    ["Seed", made.request && [asked.seed ?? 0, asked.index && `index ${textOf(asked.index)}`].filter((part) => part || part === 0).map(textOf).join(", ")],
    ["Asked for", [asked.bars && `${textOf(asked.bars)} bars`, asked.time_signature, asked.key, asked.tempo && `${textOf(asked.tempo)} bpm`, made.form?.sections && `form ${textOf(made.form.sections)}`].filter(Boolean).map(textOf).join(", ")],
    ["Samplers", samplers.join(", ")],
    ["Likelihood", typeof nats === "number" && notes && `${(nats / notes).toFixed(2)} nats per note`],
    ["Licence", made.licence],
    ["Made with", made.composer && `composer ${textOf(made.composer)}`],
  ];
  return facts.filter(([, value]) => value).map(([name, value]) => [name, textOf(value)]);
}

const textOf = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value)).slice(0, 400);

function showFacts(piece) {
  const facts = factsOf(piece);
  byId("about").hidden = facts.length === 0;
  byId("facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  byId("request").textContent = JSON.stringify(piece.madeBy, null, 1);
  byId("again").hidden = !(piece.madeBy.model && piece.madeBy.request && piece.forms[".mid"]);
  byId("command").textContent = `composer regenerate ${piece.file}.mid again.mid`;
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText(byId("command").textContent);
    say("Copied");
    byId("copy").textContent = "Copied";
    setTimeout(() => { byId("copy").textContent = "Copy"; }, 1500);
  } catch {
    getSelection().selectAllChildren(byId("command"));
    say("Selected; copy it with the keyboard");
  }
}

// --- gallery --------------------------------------------------------------------------------------------------------

const starText = (stars) => "★".repeat(stars);

function showGallery() {
  byId("page").classList.add("many");
  byId("gallery").hidden = false;
  byId("marks").hidden = false;
  byId("gallery-title").textContent = count(pieces.length, "piece");
  byId("pieces").replaceChildren(...pieces.map((piece, place) => {
    const about = make("span", { class: "piece-about" }, make("span", {}, shortly(piece)), make("span", { class: "piece-stars" }));
    const button = make("button", { type: "button", class: "piece" }, make("canvas", { "aria-hidden": "true" }),
      make("span", { class: "piece-title" }, piece.title), about);
    button.addEventListener("click", () => open(place));
    return make("li", {}, button);
  }));
  byId("stars").replaceChildren(...Array.from({ length: MOST_STARS }, (_, i) => {
    const label = i ? `${i + 1} stars` : "1 star";
    const button = make("button", { type: "button", class: "star", "aria-label": label, "aria-pressed": "false" }, "★");
    button.addEventListener("click", () => giveStars(i + 1));
    return button;
  }));
  drawGallery();
}

function shortly(piece) {
  const whole = piece.bars.length - 1 - piece.upbeat;
  return [count(whole, "bar"), piece.metres[0]?.[1], piece.key].filter(Boolean).join(" · ");
}

function drawGallery() {
  for (const [place, canvas] of [...byId("pieces").querySelectorAll("canvas")].entries()) {
    canvas.width = 480;
    canvas.height = 108;
    drawSmall(canvas, readPiece(pieces[place]), colours.tracks);
  }
}

function giveStars(stars) {
  marks.set(current.place, { stars: marks.of(current.place).stars === stars ? 0 : stars });
  say(count(marks.of(current.place).stars, "star"));
  showMarks();
}

function showMarks() {
  const { stars, note } = marks.of(current.place);
  for (const [i, button] of [...byId("stars").children].entries()) {
    button.classList.toggle("on", i < stars);
    button.setAttribute("aria-pressed", String(i + 1 === stars));
  }
  byId("note").value = note;
  for (const [place, button] of [...byId("pieces").querySelectorAll(".piece")].entries()) {
    button.setAttribute("aria-current", String(place === current.place));
    const given = button.querySelector(".piece-stars");
    given.textContent = starText(marks.of(place).stars) + (marks.of(place).note ? " ✎" : "");
    given.setAttribute("aria-label", count(marks.of(place).stars, "star"));
  }
}

// --- a piece --------------------------------------------------------------------------------------------------------

function open(place) {
  current?.player.pause();
  if (current) showPlaying();
  const music = readPiece(pieces[place]);
  const { piece } = music;
  const parts = { box: byId("roll"), scroller: byId("roll-scroller"), space: byId("roll-space"), canvas: byId("roll-canvas"), playhead: byId("playhead") };
  const item = { place, music, synth: null, muted: new Set(), alone: new Set() };
  item.player = createPlayer(music, {
    clock,
    play: (note, at, seconds) => item.synth?.play(note.track, note.pitch, note.velocity, at, seconds),
    silence: (begun) => item.synth?.silence(begun),
    ended: stopped,
  });
  item.roll = createRoll(music, parts, () => ({ colours, tick: shownTick(), heard: isHeard, playing: item.player.playing, loop: looping ? loopBars : null }));
  current = item;
  byId("title").textContent = piece.title;
  byId("subtitle").textContent = [shortly(piece), count(music.notes.length, "note")].join(" · ");
  byId("total").textContent = clockText(music.seconds);
  byId("position").max = music.seconds;
  byId("tracks").replaceChildren(...piece.tracks.map(trackItem));
  byId("roll-canvas").setAttribute("aria-label", item.roll.about());
  for (const id of ["loop-from", "loop-to"]) {
    byId(id).min = music.firstNumber;
    byId(id).max = music.firstNumber + music.barCount - 1;
  }
  byId("roll-scroller").scrollLeft = 0;
  setLoop(0, music.barCount - 1, false);
  showDownloads(piece);
  showFacts(piece);
  showScore(piece);
  setTempo(byId("tempo").value);
  if (pieces.length > 1) showMarks();
  item.roll.layOut();
  show(true);
}

function openNext(direction) {
  if (pieces.length < 2) return;
  open((current.place + direction + pieces.length) % pieces.length);
  say(current.music.piece.title);
  byId("pieces").children[current.place].scrollIntoView({ block: "nearest", inline: "nearest" });
}

// --- keys and pointers ----------------------------------------------------------------------------------------------

const KEYS_DO = {
  " ": toggle,
  ArrowLeft: (event) => step(-1, event.shiftKey),
  ArrowRight: (event) => step(1, event.shiftKey),
  Home: () => seek(0),
  End: () => seek(current.music.seconds),
  l: toggleLoop,
  "[": () => setLoop(barAt(current.music, tickNow()), loopBars[1]),
  "]": () => setLoop(loopBars[0], barAt(current.music, tickNow())),
  "-": () => setTempo(Number(byId("tempo").value) - 5),
  "+": () => setTempo(Number(byId("tempo").value) + 5),
  "=": () => setTempo(Number(byId("tempo").value) + 5),
  n: () => openNext(1),
  p: () => openNext(-1),
};

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  const target = event.target;
  if (target.matches("textarea, input[type=number]")) return;
  if (event.key === " " && target.matches("button, summary, a")) return; // Space presses what has the focus
  if (target.matches("input[type=range]:not(#position)") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
  const track = digit ? Number(digit) - 1 : -1;
  if (digit && track < current.music.piece.tracks.length) {
    if (event.shiftKey) flip(current.alone, track, "solo");
    else flip(current.muted, track, "muted");
  } else {
    const act = KEYS_DO[event.key] ?? KEYS_DO[event.key.toLowerCase()];
    if (!act || digit) return;
    act(event);
  }
  event.preventDefault();
}

/** A click seeks; with a mouse, dragging across the bar numbers chooses bars to loop. */
function listenToRoll(scroller) {
  let from = null; // the bar at which a drag began
  let dragged = false;
  const barUnder = (event) => barAt(current.music, current.roll.tickOf(event.clientX));
  scroller.addEventListener("pointerdown", (event) => {
    dragged = false;
    if (event.pointerType === "touch" || event.button || !current.roll.inRuler(event.clientY)) return;
    from = barUnder(event);
    scroller.setPointerCapture(event.pointerId);
  });
  scroller.addEventListener("pointermove", (event) => {
    if (from === null || (!dragged && barUnder(event) === from)) return;
    dragged = true;
    setLoop(from, barUnder(event));
  });
  scroller.addEventListener("pointerup", () => { from = null; });
  scroller.addEventListener("click", (event) => {
    if (!dragged) seekTick(current.roll.tickOf(event.clientX));
  });
  scroller.addEventListener("scroll", () => current.roll.draw());
}

function listen() {
  const on = (id, event, act) => byId(id).addEventListener(event, act);
  on("play", "click", toggle);
  on("to-start", "click", () => seek(0));
  on("position", "input", (event) => seek(Number(event.target.value), true));
  on("loop", "click", toggleLoop);
  for (const id of ["loop-from", "loop-to"]) {
    on(id, "change", () => {
      const [from, to] = ["loop-from", "loop-to"].map((field) => Math.round(Number(byId(field).value)) - current.music.firstNumber);
      setLoop(from, to);
    });
  }
  on("tempo", "input", (event) => setTempo(event.target.value));
  on("volume", "input", (event) => current.synth?.volume(event.target.value / 100));
  on("zoom-in", "click", () => current.roll.zoomBy(1.4));
  on("zoom-out", "click", () => current.roll.zoomBy(1 / 1.4));
  on("copy", "click", copyCommand);
  on("score", "click", seekOnScore);
  on("note", "input", (event) => {
    marks.set(current.place, { note: event.target.value });
  });
  on("note", "change", showMarks);
  on("save-marks", "click", () => save(marks.text(pieces.map((piece) => piece.madeBy)), "marks.json", "application/json"));
  listenToRoll(byId("roll-scroller"));
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", () => current.player.schedule());
  window.addEventListener("resize", () => current.roll.layOut());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colours = readColours();
    current.roll.draw();
    if (pieces.length > 1) drawGallery();
  });
}

if (pieces.length > 1) showGallery();
listen();
open(0);
