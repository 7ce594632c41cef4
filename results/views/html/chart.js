// A small line chart as SVG: the metrics of an opened trial beside those of others.

const CHART = { width: 320, height: 150, left: 46, right: 8, top: 8, bottom: 22 };

/** series: `{name, color, points: [[epoch, value], ...], isMain}`. */
function chart(title, series) {
  const points = series.flatMap((line_) => line_.points.filter((point) => point[1] !== null));
  if (!points.length) return null;
  const ends = (values) => [Math.min(...values), Math.max(...values)];
  const [first, last] = ends(points.map((point) => point[0]));
  const [low, high] = ends(points.map((point) => point[1]));
  const { width, height, left, right, top, bottom } = CHART;
  const x = (epoch) => left + ((epoch - first) / (last - first || 1)) * (width - left - right);
  const y = (value) =>
    height - bottom - (high > low ? (value - low) / (high - low) : 0.5) * (height - top - bottom);
  const lines = series.map((line_) => chartLine(line_, x, y));
  const labels_ = [
    chartText(left - 5, y(high) + 4, number(high), "end"),
    ...(high > low ? [chartText(left - 5, y(low) + 4, number(low), "end")] : []),
    chartText(left, height - 6, reportAt(first), "start"),
    ...(last > first ? [chartText(width - right, height - 6, amount(last), "end")] : []),
  ];
  const frame = svg("path", { d: `M${left} ${top}V${height - bottom}H${width - right}`, class: "frame" });
  const said = series
    .map((line_) => `${line_.name}: ${number(line_.points.at(-1)?.[1] ?? null)} at the end`)
    .join("; ");
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}. ${said}` }, [
    frame,
    ...lines,
    ...labels_,
  ]);
  return el("figure", [el("figcaption", title), drawn], "chart");
}

function chartLine({ points, color, isMain }, x, y) {
  let isOpen = false;
  const parts = points.map(([epoch, value]) => {
    if (value === null) {
      isOpen = false;
      return "";
    }
    const step = `${isOpen ? "L" : "M"}${x(epoch).toFixed(1)} ${y(value).toFixed(1)}`;
    isOpen = true;
    return step;
  });
  const known = points.filter((point) => point[1] !== null);
  const made = [
    svg("path", { d: parts.join(""), stroke: color, "stroke-width": isMain ? 2.4 : 1.6, fill: "none" }),
  ];
  if (known.length)
    made.push(
      svg("circle", { cx: x(known.at(-1)[0]), cy: y(known.at(-1)[1]), r: isMain ? 3.4 : 2.6, fill: color }),
    );
  return svg("g", {}, made);
}

function chartText(x, y, text, anchor) {
  return svg("text", { x, y, "text-anchor": anchor }, [text]);
}
