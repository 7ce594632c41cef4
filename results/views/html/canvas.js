// Marks of thousands of trials: painted on a canvas above the axes that plotly draws, so that drawing them
// takes milliseconds, and marking a trial repaints only a second canvas.

const layers = new WeakMap();
const STROKES = 500; // paths that the lines of one colour are painted in, at most
const REACH = 14; // pixels from the pointer within which a trial is found

/** The layer of a plot: two canvases above it, and where its trials are. */
function layerOf(place) {
  if (layers.has(place)) return layers.get(place);
  const canvases = ["all", "marked"].map((name) => el("canvas", "", `layer ${name}`, { "aria-hidden": "true" }));
  const layer = { canvases, marks: [], marked: () => [], hits: [] };
  layers.set(place, layer);
  place.addEventListener("mousemove", (event) => hover(place, event));
  place.addEventListener("mouseleave", hideTip);
  place.addEventListener("click", (event) => {
    const i = nearest(place, event);
    if (i !== null) openTrials([T.id[i]]);
  });
  return layer;
}

/** The marks that are to be shown above a plot once plotly has drawn it. */
function setMarks(place, marks, marked) {
  Object.assign(layerOf(place), { marks, marked, painted: null });
}

/** Paint the marks, unless plotly's event has had them painted, and again whenever plotly draws. */
function showMarks(place) {
  const layer = layerOf(place);
  if (!place.contains(layer.canvases[0])) place.append(...layer.canvases);
  const act = () => {
    paint(place);
    paintMarked(place);
  };
  if (!layer.follows) {
    layer.follows = true;
    place.on("plotly_afterplot", act);
  }
  if (layer.painted !== layer.marks) act();
}

/** Take the canvases off a plot that has nothing to show. */
function clearMarks(place) {
  const layer = layers.get(place);
  if (!layer) return;
  for (const canvas of layer.canvases) canvas.remove();
  layers.delete(place);
}

function paint(place) {
  const layer = layers.get(place);
  if (!layer || !place._fullLayout) return;
  layer.hits = [];
  layer.painted = layer.marks;
  const context = cleared(place, layer.canvases[0]);
  for (const mark of layer.marks) paintMark(context, place, mark, layer.hits);
}

function paintMarked(place) {
  const layer = layers.get(place);
  if (!layer || !place._fullLayout) return;
  const context = cleared(place, layer.canvases[1]);
  if (state.marked === null) return;
  for (const mark of layer.marked(state.marked)) paintMark(context, place, mark, []);
}

/** The context of an emptied canvas, in pixels of the page. */
function cleared(place, canvas) {
  const ratio = devicePixelRatio || 1;
  const { width, height } = place._fullLayout;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}

/** Functions from data to pixels, and the rectangle of the plot's axes. */
function geometry(place) {
  const { xaxis, yaxis } = place._fullLayout;
  return {
    x: (value) => xaxis._offset + xaxis.d2p(value),
    y: (value) => yaxis._offset + yaxis.d2p(value),
    box: [xaxis._offset, yaxis._offset, xaxis._length, yaxis._length],
  };
}

const PAINTERS = { lines: paintLines, dots: paintDots, bars: paintBars };

function paintMark(context, place, mark, hits) {
  const { x, y, box } = geometry(place);
  const room = mark.room ?? 3; // marks at the edge of the axes are not cut in half
  context.save();
  context.beginPath();
  context.rect(box[0] - room, box[1] - room, box[2] + 2 * room, box[3] + 2 * room);
  context.clip();
  context.globalAlpha = mark.alpha ?? 1;
  PAINTERS[mark.kind](context, mark, x, y, hits, box);
  context.restore();
}

/** lines: paths of [x, y] points; a null ends a piece. */
function paintLines(context, mark, x, y) {
  context.strokeStyle = mark.color;
  context.lineWidth = mark.width ?? 1;
  context.lineJoin = "round";
  context.setLineDash(mark.dash ?? []);
  // The lines of one path are painted as one shape, which is not stronger where they meet. So there are many paths,
  // but not as many as thousands of lines, each of which would take its time.
  const together = Math.ceil(mark.paths.length / STROKES);
  mark.paths.forEach((points, k) => {
    if (k % together === 0) context.beginPath();
    tracePath(context, points, x, y);
    if ((k + 1) % together === 0 || k + 1 === mark.paths.length) context.stroke();
  });
}

function tracePath(context, points, x, y) {
  let isOpen = false;
  for (const [a, b] of points) {
    if (b === null || b === undefined) {
      isOpen = false;
      continue;
    }
    if (isOpen) context.lineTo(x(a), y(b));
    else context.moveTo(x(a), y(b));
    isOpen = true;
  }
}

/** dots: points [x, y, trial]; alphas and sizes may be functions of the trial. */
function paintDots(context, mark, x, y, hits, box) {
  context.fillStyle = context.strokeStyle = mark.color;
  context.lineWidth = mark.line ?? 1.4;
  for (const [a, b, i] of mark.points) {
    if (a === null || b === null || b === undefined) continue;
    const [px, py] = [x(a), y(b)];
    if (!Number.isFinite(px) || !Number.isFinite(py)) continue;
    const isInside = px >= box[0] - 4 && px <= box[0] + box[2] + 4 && py >= box[1] - 4 && py <= box[1] + box[3] + 4;
    if (!isInside) continue;
    if (mark.alphaOf) context.globalAlpha = mark.alphaOf(i);
    const radius = mark.sizeOf ? mark.sizeOf(i) : (mark.size ?? 3);
    paintDot(context, px, py, radius, mark.shapeOf ? mark.shapeOf(i) : mark.shape);
    if (!mark.silent) hits.push([px, py, i]);
  }
}

function paintDot(context, px, py, radius, shape) {
  context.beginPath();
  if (shape === "cross") {
    context.moveTo(px - radius, py - radius);
    context.lineTo(px + radius, py + radius);
    context.moveTo(px + radius, py - radius);
    context.lineTo(px - radius, py + radius);
    context.stroke();
    return;
  }
  context.arc(px, py, radius, 0, 2 * Math.PI);
  if (shape === "ring") context.stroke();
  else if (shape !== "none") context.fill();
}

/** bars: [start, end, row, trial]. */
function paintBars(context, mark, x, y, hits) {
  context.fillStyle = mark.color;
  for (const [start, end, row, i] of mark.bars) {
    const [left, right, top, bottom] = [x(start), x(end), y(row - mark.height / 2), y(row + mark.height / 2)];
    const [upper, lower] = [Math.min(top, bottom), Math.max(top, bottom)];
    context.fillRect(left, upper, Math.max(1, right - left - 0.6), lower - upper);
    hits.push([(left + right) / 2, (upper + lower) / 2, i, [left, right, upper, lower]]);
  }
}

/** The trial under the pointer, or near it; null if there is none. */
function nearest(place, event) {
  const { left, top } = place.getBoundingClientRect();
  const [px, py] = [event.clientX - left, event.clientY - top];
  let found = null;
  let least = REACH ** 2;
  for (const [x, y, i, box] of layers.get(place)?.hits ?? []) {
    if (box && px >= box[0] && px <= box[1] && py >= box[2] && py <= box[3]) return i;
    const squared = box ? Infinity : (x - px) ** 2 + (y - py) ** 2;
    if (squared < least) [least, found] = [squared, i];
  }
  return found;
}

function hover(place, event) {
  const i = nearest(place, event);
  place.classList.toggle("pointing", i !== null);
  if (i === null) return hideTip();
  const tip = $("#tip");
  const [first, ...rest] = about(i);
  tip.replaceChildren(el("b", first), ...rest.map((line) => el("span", line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = event.clientX + 14 + width > innerWidth ? event.clientX - 14 - width : event.clientX + 14;
  const top = Math.min(innerHeight - height - 8, event.clientY + 10);
  Object.assign(tip.style, { left: `${Math.max(4, left)}px`, top: `${Math.max(4, top)}px` });
  return undefined;
}

function hideTip() {
  $("#tip").hidden = true;
}

/** A picture of a plot with its marks, as a file. */
async function savePicture(place) {
  const { width, height } = place._fullLayout;
  const image = new Image();
  image.src = await Plotly.toImage(place, { format: "png", width, height, scale: 2 });
  await image.decode();
  const canvas = el("canvas", "", "", { width: width * 2, height: height * 2 });
  const context = canvas.getContext("2d");
  context.fillStyle = css("--card");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0);
  for (const layer of layers.get(place)?.canvases ?? []) context.drawImage(layer, 0, 0, width * 2, height * 2);
  el("a", "", "", { href: canvas.toDataURL("image/png"), download: `${D.name}-${place.dataset.plot}.png` }).click();
}
