// The address: `#run=cnn&trial=random-95&where=lr<0.01 status:failed&sort=-best`.

const ROUTE_KEYS = ["run", "trial", "where", "sort", "columns", "at"];

function readRoute() {
  const found = {};
  for (const part of location.hash.slice(1).split("&")) {
    const cut = part.indexOf("=");
    if (cut < 0) continue;
    const name = part.slice(0, cut);
    if (ROUTE_KEYS.includes(name)) found[name] = decoded(part.slice(cut + 1));
  }
  return found;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a percent sign that somebody typed
  }
}

/** A value of the address, as readable as it may be. */
function encoded(value) {
  const readable = { "%3A": ":", "%3D": "=", "%2C": ",", "%2F": "/", "%3C": "<", "%3E": ">", "%7C": "|" };
  return encodeURIComponent(value).replace(/%(3A|3D|2C|2F|3C|3E|7C)/g, (code) => readable[code]);
}

/** The fragment of a route in which `changes` replace what is there; null removes a key. */
function fragment(changes, base = readRoute()) {
  const all = { ...base, ...changes };
  const parts = ROUTE_KEYS.filter((name) => all[name] !== undefined && all[name] !== null && all[name] !== "");
  return `#${parts.map((name) => `${name}=${encoded(all[name])}`).join("&")}`;
}

/** Go to an address: as a step that "back" undoes, or in the place of this one. */
function go(changes, { replace = false, base } = {}) {
  const target = fragment(changes, base);
  if (target === location.hash || (target === "#" && location.hash === "")) return follow();
  const address = target === "#" ? location.pathname + location.search : target;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  return follow();
}
