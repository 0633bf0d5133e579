// What is shown of where the music is: time, playhead, tempo, the bar on the engraved score. Changes nothing.

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
  if (force || !player.playing) { // while it plays, a screen reader would never fall silent
    slider.setAttribute("aria-valuetext", `bar ${place.number}, beat ${place.beat}, ${clockText(seconds)} of ${clockText(music.seconds)}`);
  }
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
  const beat = Math.max(metreOf(current.music, 0)?.[2] ?? TICKS_PER_QUARTER, TICKS_PER_QUARTER);
  const bpm = ((current.music.piece.tempos[0]?.[1] ?? 120) * rate * TICKS_PER_QUARTER) / beat;
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
