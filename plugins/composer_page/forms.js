// What came with the piece: other forms of it to see and to save, and what made it.

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

const phone = matchMedia("(max-width: 600px)");

/** The engraved score that fits the window, and where its bars are. */
function scoreOf(piece) {
  return piece.narrow && phone.matches ? piece.narrow : { score: piece.forms[".svg"], places: piece.places };
}

async function showScore(piece) {
  const packed = scoreOf(piece).score;
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
  const { bars } = current.music.piece;
  const { places } = scoreOf(current.music.piece);
  const box = byId("score").getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  const bar = places?.findIndex(([left, top, wide, high]) => x >= left && x < left + wide && y >= top && y < top + high);
  if (bar >= 0) seekTick(bars[bar]);
}

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
    ["May I sell it?", piece.selling],
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
