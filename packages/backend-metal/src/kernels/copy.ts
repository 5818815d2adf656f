import { addDims, type Dim, dtypeCode, dtypes, mulDims, Tensor } from "@rlxjs/ir";
import { axisAttr, dimAttr, isBlockType, listAttr, type NodeView, numberAttr, reasons, type Step } from "@rlxjs/runtime";
import { product } from "../expr.ts";
import { constants, type Launch, type MetalKernel, read, uint, ulong, write } from "../launch.ts";
import { hasF64, input, kernel, output } from "./checks.ts";
import { threadGrid } from "./grid.ts";
import { lanesOf } from "./lanes.ts";
import { at, bytesLaunch, bytesOf, layoutOf, padded, regionLaunch, wholeDims } from "./region.ts";

function copyAll(step: Step, slot: number, state: boolean): readonly Launch[] {
  const x = input(step, slot);
  return [bytesLaunch(bytesOf(x), at(x), at(output(step)), state)];
}

function transpose(step: Step): readonly Launch[] {
  const [x, out] = [input(step, 0), output(step)];
  const [from, to] = [layoutOf(x), layoutOf(out)];
  const perm = listAttr(step.attrs, "perm");
  const axes = to.extents.map((extent, i) => ({ extent, from: from.strides[perm[i] ?? i] ?? 0, to: to.strides[i] ?? 0 }));
  return [regionLaunch(to.unit, axes, at(x), at(out))];
}

function expand(step: Step): readonly Launch[] {
  const [x, out] = [input(step, 0), output(step)];
  const [from, to] = [layoutOf(x), layoutOf(out)];
  const shift = out.shape.length - x.shape.length;
  const axes = to.extents.map((extent, i) => ({
    extent,
    from: i < shift || x.shape[i - shift] === 1 ? 0 : (from.strides[i - shift] ?? 0),
    to: to.strides[i] ?? 0,
  }));
  return [regionLaunch(to.unit, axes, at(x), at(out))];
}

function slice(step: Step): readonly Launch[] {
  const [x, out] = [input(step, 0), output(step)];
  const [from, to] = [layoutOf(x), layoutOf(out)];
  const axis = axisAttr(step);
  const axes = to.extents.map((extent, i) => ({ extent, from: from.strides[i] ?? 0, to: to.strides[i] ?? 0 }));
  // Along the axis of the blocks, the start counts elements, the strides blocks.
  const perUnit = axis === x.shape.length - 1 ? dtypes[x.dtype].blockSize : 1;
  const start = mulDims(wholeDims(dimAttr(step.attrs, "start"), perUnit), from.strides[axis] ?? 0);
  return [regionLaunch(to.unit, axes, at(x, start), at(out))];
}

function concat(step: Step): readonly Launch[] {
  const out = output(step);
  const to = layoutOf(out);
  const axis = axisAttr(step);
  let start: Dim = 0;
  return step.inputs.map((_, slot) => {
    const x = input(step, slot);
    const from = layoutOf(x);
    const axes = from.extents.map((extent, i) => ({ extent, from: from.strides[i] ?? 0, to: to.strides[i] ?? 0 }));
    const launch = regionLaunch(to.unit, axes, at(x), at(out, mulDims(start, to.strides[axis] ?? 0)));
    start = addDims(start, from.extents[axis] ?? 0);
    return launch;
  });
}

function pad(step: Step): readonly Launch[] {
  const [x, out] = [input(step, 0), output(step)];
  const { unit, strides } = layoutOf(x);
  const [columns = 1, rows = 1, ...others] = [...out.shape].reverse();
  // The value as its bits in the dtype.
  const bits = new BigUint64Array(1);
  new Uint8Array(bits.buffer).set(Tensor.from(out.dtype, [], [numberAttr(step.attrs, "value")]).bytes);
  const [low = 0, high = 0] = new Uint32Array(bits.buffer);
  return [
    {
      shader: { file: "copy" },
      function: "pad",
      constants: constants(unit, false, out.shape.length),
      args: [
        ...padded(
          strides.map((s) => ulong(wholeDims(s, unit))),
          ulong(0),
        ),
        ...padded(out.shape.map(uint), uint(0)),
        ...padded(listAttr(step.attrs, "before").map(uint), uint(0)),
        ...padded(x.shape.map(uint), uint(0)),
        ...[low, high, rows, columns].map(uint),
      ],
      buffers: [read(x), write(out)],
      ...threadGrid(columns, rows, product(others)),
    },
  ];
}

function iota(step: Step): readonly Launch[] {
  const out = output(step);
  const { outer, length, inner } = lanesOf(out, axisAttr(step));
  return [
    {
      shader: { file: "iota" },
      function: "iota",
      constants: constants(dtypeCode(out.dtype)),
      args: [uint(length), uint(inner)],
      buffers: [write(out)],
      ...threadGrid(inner, length, outer),
    },
  ];
}

const noBlocks = ({ inputs }: NodeView): true | string => reasons(inputs.some(isBlockType) && "block formats");

/** shaders/copy.metal and iota.metal: every dtype as bytes; only iota computes. */
export const copyKernels: readonly MetalKernel[] = [
  kernel("reshape", { launches: (step) => copyAll(step, 0, false) }),
  kernel("state_write", { launches: (step) => copyAll(step, 1, true) }),
  kernel("transpose", { launches: transpose }),
  kernel("expand", { launches: expand }),
  kernel("slice", { launches: slice }),
  kernel("concat", { launches: concat }),
  kernel("pad", { accepts: noBlocks, launches: pad }),
  kernel("iota", { accepts: ({ outputs }) => reasons(hasF64(...outputs)), launches: iota }),
];
