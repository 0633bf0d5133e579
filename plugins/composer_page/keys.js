// Which key, button and movement does what.

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
  phone.addEventListener("change", () => current && showScore(current.music.piece));
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
