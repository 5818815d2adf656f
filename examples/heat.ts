// Not every graph is a model: heat that spreads over a plate. The temperatures are a state, updated in place by one compiled graph.
import { define, Session, Tensor } from "rlxjs";

const n = 24;
/** The second difference along one axis as a matrix [n, n]; the ends are insulated. */
const difference = Tensor.from(
  "f32",
  [n, n],
  Array.from({ length: n * n }, (_, k) => {
    const [row, column] = [Math.floor(k / n), k % n];
    if (row === column) return row === 0 || row === n - 1 ? -1 : -2;
    return Math.abs(row - column) === 1 ? 1 : 0;
  }),
);

const step = define("heat", (g) => {
  const plate = g.state("plate", "f32", [n, n]);
  const d = g.constant(difference);
  const flow = g.add(g.matmul(d, plate), g.matmul(plate, d));
  const next = g.stateWrite(plate, g.add(plate, g.mul(flow, 0.2)));
  return { hottest: g.reduceMax(next, { axes: [0, 1] }), total: g.reduceSum(next, { axes: [0, 1] }) };
});

using session = await Session.open({ device: "cpu" });
using heat = await session.compile(step);
using state = session.createState(heat);
state.write(
  "plate",
  Tensor.from(
    "f32",
    [n, n],
    Array.from({ length: n * n }, (_, k) => (k === 6 * n + 6 || k === 15 * n + 18 ? 100 : 0)),
  ),
);

for (let i = 1; i <= 60; i++) {
  const { hottest, total } = await heat.run({ state });
  if (i % 20 === 0) console.log(`after ${i} steps: hottest ${hottest.get(0).toFixed(2)}, all heat ${total.get(0).toFixed(1)}`);
}
const shades = " .:-=+*#%@";
const values = state.read("plate").toArray();
const peak = Math.max(...values);
for (let row = 0; row < n; row += 2) {
  const line = values.slice(row * n, (row + 1) * n).map((v) => shades[Math.round((v / peak) * (shades.length - 1))]);
  console.log(line.join(""));
}
console.log(`compiled ${heat.stats().compiles} time, ran ${heat.stats().runs} times`); // => compiled 1 time, ran 60 times
