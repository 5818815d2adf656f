/** Counter-based random numbers (splitmix64 finaliser over seed and counter): the n-th draw of a seed is the same everywhere. */
export class Rng {
  readonly #seed: bigint;
  #counter = 0n;
  constructor(seed: number | bigint) {
    this.#seed = BigInt(seed);
  }
  /** 64 random bits. */
  next(): bigint {
    let z = BigInt.asUintN(64, this.#seed * 0xd1342543de82ef95n + ++this.#counter * 0x9e3779b97f4a7c15n);
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  }
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    return Number(this.next() >> 11n) * 2 ** -53;
  }
  /** Uniform integer in [min, max]. */
  int(min: number, max: number): number {
    return min + Math.floor(this.uniform() * (max - min + 1));
  }
  /** Standard normal (Box-Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }
  normals(n: number): Float64Array {
    return Float64Array.from({ length: n }, () => this.normal());
  }
}
