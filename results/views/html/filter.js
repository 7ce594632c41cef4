// The query language of the filter: `lr<0.01 status:failed optimizer=adam word`. Parsed, never evaluated.

const FIXED_FIELDS = {
  trial: { get: (i) => T.id[i] },
  status: { get: (i) => T.status[i], exact: true },
  searcher: { get: (i) => T.searcher[i], exact: true },
  reason: { get: (i) => T.reason[i] },
  cause: { get: (i) => causes().get(i) ?? null },
  node: { get: (i) => T.node[i] },
  tag: { get: (i) => T.tags?.[i] ?? "" },
  seed: { get: (i) => T.seed[i], numeric: true },
  epochs: { get: (i) => position(T.epochs[i]), numeric: true },
  at: { get: (i) => position(T.bestEpoch[i]), numeric: true },
  time: { get: (i) => T.seconds[i], numeric: true },
  seconds: { get: (i) => T.seconds[i], numeric: true },
  best: { get: (i) => T.best[i], numeric: true },
  last: { get: (i) => T.last[i], numeric: true },
};
const OPERATORS = ["<=", ">=", "!=", "<", ">", "=", ":"];
const COMPARE = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

const causesOf = { problems: null, found: new Map() };

class QueryMistake extends Error {}

/** Causes of bad ends by trial; made once for each list of problems. */
function causes() {
  if (causesOf.problems !== D.problems) {
    const found = new Map();
    for (const problem of D.problems) for (const i of problem.trials) found.set(i, problem.cause);
    Object.assign(causesOf, { problems: D.problems, found });
  }
  return causesOf.found;
}

/** The field that a name means: a column, a parameter, or the end of one parameter's dotted name. */
function field(name) {
  const find = (names) => names.find((known) => known.toLowerCase() === name.toLowerCase());
  const parameters = Object.keys(T.config);
  const ends = parameters.filter((known) => known.toLowerCase().endsWith(`.${name.toLowerCase()}`));
  const parameter = find(parameters) ?? (ends.length === 1 ? ends[0] : undefined);
  if (parameter !== undefined) {
    const known = D.parameters.find((one) => one.name === parameter);
    return { get: (i) => T.config[parameter][i], numeric: known?.numeric ?? false, exact: true };
  }
  if (name.toLowerCase() === inUnit()) return FIXED_FIELDS.epochs;
  const fixed = find(Object.keys(FIXED_FIELDS));
  if (fixed !== undefined) return FIXED_FIELDS[fixed];
  if (name.toLowerCase() === D.metric.toLowerCase()) return FIXED_FIELDS.best;
  const metric = find(metricNames());
  if (metric !== undefined) return { get: (i) => T[`metric ${metric}`][i], numeric: true };
  throw new QueryMistake(`there is no column '${short(name, 40)}'${suggestion(name)}`);
}

const metricNames = () =>
  Object.keys(T)
    .filter((key) => key.startsWith("metric "))
    .map((key) => key.slice(7));

/** `; did you mean ...?` if a column has a similar name. */
function suggestion(name) {
  const known = [...Object.keys(FIXED_FIELDS), ...Object.keys(T.config), ...metricNames(), D.metric];
  const near = known
    .map((word) => [distance(word.toLowerCase(), name.toLowerCase()), word])
    .sort((a, b) => a[0] - b[0]);
  const [steps, word] = near[0];
  if (steps <= Math.ceil(name.length / 3)) return `; did you mean ${short(word, 40)}?`;
  return "; a phrase with : or = in it needs quotes";
}

/** The number of letters to change, add or take away (Levenshtein). */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, k) => k);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const swap = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row.at(-1);
}

/** Split a query into words: `{negated, name, operator, value, source}`; free words have no name. */
function tokens(query) {
  const found = [];
  let at = 0;
  while (at < query.length) {
    if (/\s/.test(query[at])) {
      at += 1;
      continue;
    }
    const begin = at;
    const negated = query[at] === "-" && at + 1 < query.length && !/\s/.test(query[at + 1]);
    if (negated) at += 1;
    const first = word(query, at, true);
    at = first.end;
    const operator = OPERATORS.find((sign) => query.startsWith(sign, at)) ?? "";
    const token = { negated, name: operator ? first.text : "", operator, value: first.text };
    if (operator) {
      const value = word(query, at + operator.length, false);
      token.value = value.text;
      at = value.end;
    }
    found.push({ ...token, source: query.slice(begin, at) });
  }
  return found;
}

/** The word or the quoted text at a place. A name ends at an operator. */
function word(query, begin, isName) {
  if (query[begin] === '"') {
    const match = /"((?:[^"\\]|\\.)*)"/y;
    match.lastIndex = begin;
    const found = match.exec(query);
    if (!found) throw new QueryMistake("a quotation mark is not closed");
    return { text: found[1].replace(/\\(.)/g, "$1"), end: match.lastIndex };
  }
  const match = isName ? /[^\s<>=!:"]+|[<>=!:"]/y : /[^\s]*/y;
  match.lastIndex = begin;
  const found = match.exec(query);
  const text = found?.[0] ?? "";
  return { text, end: begin + Math.max(text.length, isName ? 1 : 0) };
}

/** A query as a list of terms, each with a test. Throws QueryMistake, with one line. */
function parseQuery(query) {
  return tokens(query).map((token) => ({ ...token, test: negation(token, testOf(token)) }));
}

const negation = (token, test) => (token.negated ? (i) => !test(i) : test);

function testOf({ name, operator, value }) {
  if (!operator) {
    const needle = value.toLowerCase();
    return (i) => textOf(i).includes(needle);
  }
  const known = field(name);
  if (value === "") throw new QueryMistake(`expected a value after ${short(name, 40)}${operator}`);
  if (operator in COMPARE) return comparison(known, name, operator, value);
  const equal = equality(known, operator, value.split("|"));
  return operator === "!=" ? (i) => !equal(i) : equal;
}

function comparison(known, name, operator, value) {
  const limit = Number(value);
  if (!Number.isFinite(limit)) {
    throw new QueryMistake(`${short(name, 40)}${operator}${short(value, 40)}: expected a number after ${operator}`);
  }
  const compare = COMPARE[operator];
  return (i) => {
    const here = known.get(i);
    return typeof here === "number" && compare(here, limit);
  };
}

/** `=` is equality, and `:` the same for categories and numbers but "contains" for other text. */
function equality(known, operator, choices) {
  const wanted = choices.map((choice) => choice.toLowerCase());
  const numbers = choices.map(Number);
  const isWhole = known.numeric || known.exact || operator !== ":";
  return (i) => {
    const here = known.get(i);
    if (here === null || here === undefined) return wanted.includes("none");
    if (typeof here === "number") return numbers.some((value) => sameNumber(here, value));
    const text = String(here).toLowerCase();
    return wanted.some((value) => (isWhole ? text === value : text.includes(value)));
  };
}

/** Numbers in the page have six significant digits. */
const sameNumber = (a, b) => a === b || Math.abs(a - b) <= 1e-5 * Math.abs(b);

/** The term `name operator value`, quoted if needed. */
function term(name, operator, value, negated = false) {
  const mark = (text, pattern) => (pattern.test(text) ? text : `"${text.replace(/(["\\])/g, "\\$1")}"`);
  const left = mark(String(name), /^[^\s<>=!:"-][^\s<>=!:"]*$/);
  return `${negated ? "-" : ""}${left}${operator}${mark(String(value), /^[^\s"]+$/)}`;
}

/** The query without the terms about a field that `isGone` chooses, and with others added. */
function edited(isGone, added) {
  const kept = state.terms.filter((known) => !isGone(known)).map((known) => known.source);
  return [...kept, ...added].join(" ");
}

const isAbout = (name) => (known) => known.name.toLowerCase() === name.toLowerCase();
const visible = (i) => state.terms.every((known) => known.test(i));

/** The trials that the filter lets through. They are looked for again when the filter or the trials change. */
function shown() {
  const key = [state.terms, COUNT, state.version, D];
  if (!shown.key?.every((part, k) => part === key[k])) {
    const found = [];
    for (let i = 0; i < COUNT; i += 1) if (visible(i)) found.push(i);
    Object.assign(shown, { key, found });
  }
  return [...shown.found];
}
