// Cosines and sines of position * frequency, whatever their size: the angle is exact, its part of a turn known to 2^-120.

const places = 300n;
const one = 1n << places;

/** arctan(1 / n) in units of 2^-320. */
function arctanOfInverse(n: bigint): bigint {
  let [power, sum] = [(one << 20n) / n, 0n];
  for (let k = 1n; power !== 0n; k += 4n) {
    sum += power / k - power / (n * n * (k + 2n));
    power /= n ** 4n;
  }
  return sum;
}
/** Pi in units of 2^-300 (Machin's formula). */
const pi = (16n * arctanOfInverse(5n) - 4n * arctanOfInverse(239n)) >> 20n;

/** The cosine and the sine, with the accuracy of f64. */
export function exactAngle(position: bigint, frequency: number): readonly [number, number] {
  // Every f32 is a multiple of 2^-149.
  const angle = position * (BigInt(frequency * 2 ** 149) << (places - 149n));
  const quarter = pi / 2n;
  const turned = (angle < 0n ? angle - quarter / 2n : angle + quarter / 2n) / quarter;
  const rest = Number(angle - turned * quarter) / Number(one);
  const [c, s] = [Math.cos(rest), Math.sin(rest)];
  return (
    [
      [c, s],
      [-s, c],
      [-c, -s],
      [s, -c],
    ] as const
  )[Number(((turned % 4n) + 4n) % 4n)] as readonly [number, number];
}

/** Integers up to `most` that lie closer to multiples of pi than all below them: numerators of its continued fraction. */
export function nearMultiplesOfPi(most: number): bigint[] {
  const found: bigint[] = [];
  let [a, b, before, now] = [pi, one, 0n, 1n];
  while (true) {
    [before, now] = [now, (a / b) * now + before];
    if (now > BigInt(most)) return found;
    found.push(now);
    [a, b] = [b, a % b];
  }
}

/** Half of the distance of f32 around x. */
export const halfUlp = (x: number): number => 2 ** (Math.floor(Math.log2(Math.max(Math.abs(x), 2 ** -126))) - 24);
