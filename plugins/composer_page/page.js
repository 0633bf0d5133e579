// The page: what it holds, and the piece in hand. All words go in as text, never as markup. Begins when all else is known.

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

/** An element with attributes, and children that are elements or text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Tell it to who cannot see it. */
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

/** Take a piece in hand. */
function open(place) {
  current?.player.pause();
  current?.synth?.close();
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

if (pieces.length > 1) showGallery();
listen();
open(0);
