// Writes swizzles.h: msl_storage<T, N> for N = 2, 3, 4 with the array, the names x y z w and r g b a, and every swizzle of two to four components.

const names = ["xyzw", "rgba"];

/** All index lists of `length` over 0..n-1. @param {number} n @param {number} length @returns {number[][]} */
function tuples(n, length) {
  if (length === 0) return [[]];
  return tuples(n, length - 1).flatMap((head) => Array.from({ length: n }, (_, i) => [...head, i]));
}

/** @param {number} n */
function storage(n) {
  const swizzles = names.flatMap((letters) =>
    [2, 3, 4].flatMap((length) =>
      tuples(n, length).map((indices) => {
        const name = indices.map((i) => letters[i]).join("");
        return `    msl_swizzle<vec<T, ${length}>, T, ${n}, ${indices.join(", ")}> ${name};`;
      }),
    ),
  );
  const fields = names.map((letters) => `    struct {\n      T ${letters.slice(0, n).split("").join(", ")};\n    };`);
  return `template <class T>
struct alignas(${n === 2 ? 2 : 4} * sizeof(T)) msl_storage<T, ${n}> {
  union {
    T e[${n}];
${[...fields, ...swizzles].join("\n")}
  };
  msl_storage() = default;
  msl_storage(const msl_storage &) = default;
  constexpr explicit msl_storage(msl_zeroed) : e{} {}
};`;
}

/** The text of swizzles.h. */
export function swizzleHeader() {
  return `${[2, 3, 4].map(storage).join("\n")}\n`;
}
