// Parameters `thread const T &x` lose `thread`: in C++ for OpenCL only generic references bind to temporaries.

/** @param {import("../source.mjs").Source} source */
export function threadReferences(source) {
  source.tokens.forEach(({ text }, open) => {
    if (text !== "(" || source.inBody[open] || source.parentheses[open] !== 1 || source.partner[open] < 0) return;
    for (const range of source.parts(open)) {
      if (!["thread", "const", "&"].every((word) => source.has(range, word)) || source.has(range, "*") || source.has(range, "(")) continue;
      for (let i = range[0]; i < range[1]; i++) if (source.at(i) === "thread") source.replaceToken(i, "");
    }
  });
}
