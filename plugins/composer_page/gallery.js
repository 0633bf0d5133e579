// The gallery: pieces to choose from, and their marks.

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
