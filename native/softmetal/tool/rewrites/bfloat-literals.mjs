// `1.5bf` becomes `bfloat(1.5f)`.

/** @param {import("../source.mjs").Source} source */
export function bfloatLiterals(source) {
  source.tokens.forEach(({ text, kind }, i) => {
    const digits = kind === "number" ? /^((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)bf$/i.exec(text)?.[1] : undefined;
    if (digits !== undefined) source.replaceToken(i, `bfloat(${/[.e]/i.test(digits) ? digits : `${digits}.`}f)`);
  });
}
