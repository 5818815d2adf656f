// MSL's implicit object is in `thread` space unless the member function says otherwise; OpenCL's is generic. Constructors, of which MSL has one per address
// space, exist once.

const spaces = new Map([
  ["device", ""], // generic takes it: __attribute__((opencl_global_device)) cannot stand here
  ["constant", "__global"],
  ["threadgroup", "__local"],
  ["thread", "__private"],
]);

/** The body or `;` that ends a constructor whose parameters end before `i`. @param {import("../source.mjs").Source} source @param {number} i */
function constructorEnd(source, i) {
  let j = i;
  if (source.at(j) === ":") {
    // Initialisers look like `name(...)` or `name{...}`; the body is the brace behind one of them.
    do j = source.skip(j + 2) + 1;
    while (source.at(j) === ",");
  }
  return source.at(j) === "{" ? source.partner[j] : j;
}

/** @param {import("../source.mjs").Source} source */
export function memberFunctions(source) {
  source.tokens.forEach(({ text }, close) => {
    const owner = source.classOf[close];
    const open = source.partner[close];
    if (text !== ")" || owner === undefined || source.inBody[close] || source.parentheses[close] !== 1 || open < 0) return;
    let start = source.statementStart(open);
    while (source.at(start + 1) === ":" && source.at(start + 2) !== ":") start += 2; // public:
    const words = new Set(source.tokens.slice(start, open).map((token) => token.text));
    if (["static", "friend", "using", "typedef", "static_assert", "alignas", "=", ":"].some((word) => words.has(word))) return;
    if (source.tokens[open - 1].kind !== "name" && !words.has("operator")) return;
    const qualifier = source.at(close + 1) === "const" ? close + 2 : close + 1;
    const space = spaces.get(source.at(qualifier));
    const next = space === undefined ? qualifier : qualifier + 1;
    if (!["{", ";", "=", ":"].includes(source.at(next))) return;
    if (source.at(open - 1) === owner) {
      if (space === undefined) return;
      if (source.at(qualifier) === "thread") source.replaceToken(qualifier, "");
      else source.replaceTokens(start, constructorEnd(source, next) + 1, "");
    } else if (space !== undefined) source.replaceToken(qualifier, space);
    else source.insertAfter(qualifier - 1, " __private");
  });
}
