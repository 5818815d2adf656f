// `threadgroup float x[N];` in a function body becomes a reference to storage that the runtime gives to each threadgroup: OpenCL has such variables in kernels
// only, MSL in every function and template.

/** @param {import("../source.mjs").Source} source */
export function threadgroupVariables(source) {
  let id = 0;
  source.tokens.forEach(({ text }, i) => {
    if (text !== "threadgroup" || !source.inBody[i] || source.parentheses[i] > 0 || ![";", "{", "}"].includes(source.at(i - 1))) return;
    const end = source.statementEnd(i);
    // The declarators `x[4]`, `y`: names in front of `[`, `,` or `;`.
    const stops = new Set(["[", ",", ";"]);
    let name = i + 1;
    for (; !stops.has(source.at(name + 1)); name++) {
      if (["*", "&", "=", "("].includes(source.at(name + 1))) return; // a pointer, a reference or a call: no storage
      name = Math.max(name, source.skip(name + 1) - 1);
    }
    const type = source.slice(i + 1, name);
    const declarations = [];
    for (let from = name; from < end; ) {
      let to = from + 1;
      while (source.at(to) === "[") to = source.partner[to] + 1;
      const alias = `msl_type_${id}`;
      const storage = `msl_threadgroup_storage(${id}, __PRETTY_FUNCTION__, sizeof(${alias}), alignof(${alias}))`;
      declarations.push(
        `typedef ${type} ${alias} ${source.slice(from + 1, to)}; __local ${alias} &${source.at(from)} = *(__local ${alias} *)${storage}`,
      );
      id++;
      from = to + 1;
    }
    source.replaceTokens(i, end, declarations.join("; "));
  });
}
