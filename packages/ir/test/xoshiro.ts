/** Standard normals in f32: xoshiro256** seeded by four SplitMix64 outputs, Box-Muller pairs (cosine first) in f64. */
export function gaussians(seed: number, count: number): Float32Array<ArrayBuffer> {
  const u64 = (v: bigint): bigint => BigInt.asUintN(64, v);
  const rotl = (v: bigint, k: bigint): bigint => u64((v << k) | (v >> (64n - k)));
  let mix = BigInt(seed);
  const splitMix = (): bigint => {
    mix = u64(mix + 0x9e3779b97f4a7c15n);
    let z = u64((mix ^ (mix >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = u64((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
  let [a, b, c, d] = [splitMix(), splitMix(), splitMix(), splitMix()];
  const uniform = (): number => {
    const result = u64(rotl(u64(b * 5n), 7n) * 9n);
    const t = u64(b << 17n);
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotl(d, 45n);
    return Number(result >> 11n) / 2 ** 53;
  };
  const out = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    let first = uniform();
    while (first <= 1e-30) first = uniform();
    const r = Math.sqrt(-2 * Math.log(first));
    const angle = 2 * Math.PI * uniform();
    out[i] = r * Math.cos(angle);
    if (i + 1 < count) out[i + 1] = r * Math.sin(angle);
  }
  return out;
}
