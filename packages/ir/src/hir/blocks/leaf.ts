import { attr, variadic } from "../../op.ts";
import { opByName } from "../../ops/index.ts";
import { defineBlock, weight } from "../block.ts";
import { HirError } from "../module.ts";

export const input = defineBlock({
  name: "input",
  doc: "A value given at each run.",
  attrs: { name: attr.string.required, dtype: attr.dtype.required, shape: attr.dims.required },
  lower: (b, _, { name, dtype, shape }) => b.input(name, dtype, shape),
});

export const constant = defineBlock({
  name: "constant",
  doc: "A tensor that is part of the module; `index` numbers the module's constants.",
  attrs: { index: attr.int.required, dtype: attr.dtype.required, shape: attr.dims.required },
  lower: (b, _inputs, { index }, _weights, constants) => {
    const tensor = constants[index];
    if (!tensor) throw new HirError(b.name, `no constant ${index}`);
    return b.constant(tensor);
  },
});

export const param = defineBlock({
  name: "param",
  doc: "A weight as a value, in the dtype and shape that the checkpoint has.",
  params: [weight("weight")],
  lower: (_b, _inputs, _attrs, w) => w.weight,
});

/** The way out: any op of the op table. `op` is its name, `attrs` its attributes, `numbers` the operands that are literals, by slot. */
export const op = defineBlock({
  name: "op",
  doc: "Any op of the op table, applied as it is.",
  inputs: [variadic("operands", "any")],
  attrs: { op: attr.string.required, attrs: attr.record.required, numbers: attr.record.required },
  outputs: (attrs) => opByName(String(attrs.op)).outputs as readonly string[],
  lower: (b, { operands }, { op: name, attrs, numbers }) => {
    const def = opByName(name);
    const literal = (i: number) => (Object.hasOwn(numbers, i) ? Number(numbers[i]) : undefined);
    const made = b.emit(
      def,
      operands.map((v, i) => v ?? literal(i)),
      attrs,
    );
    const names = def.outputs as readonly string[];
    return (names.length === 1 ? made[0] : Object.fromEntries(names.map((n, i) => [n, made[i]]))) as never;
  },
});
