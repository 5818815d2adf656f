import { ShapeError } from "../../errors.ts";
import { attr, input, optional } from "../../op.ts";
import { showType } from "../../shape.ts";
import { defineBlock } from "../block.ts";

export const ropeTables = defineBlock({
  name: "rope_tables",
  doc: "cos and sin [S, R/2] (or [B, S, R/2]) of the positions pos .. pos+S-1, S being the last axis of ids; invFreq f32 [R/2]; pos int [] or [B], default 0.",
  inputs: [input("ids", "any"), input("invFreq", "float"), optional("pos", "int")],
  attrs: { scale: attr.number.default(1) },
  outputs: ["cos", "sin"],
  lower: (b, { ids, invFreq, pos }, { scale }) => {
    const seq = ids.shape.at(-1);
    if (seq === undefined) throw new ShapeError("rope_tables", `ids: expected [..., S], got ${showType(ids.type)}`);
    const rows = b.iota({ shape: [seq], dtype: pos?.dtype ?? "i32" });
    const first = pos && pos.shape.length === 1 ? b.reshape(pos, { shape: [...pos.shape, 1] }) : pos;
    return b.ropeTable(first ? b.add(rows, first) : rows, invFreq, { scale });
  },
});
