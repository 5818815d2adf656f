export { type AnyBlockDef, type BlockDef, defineBlock, optionalWeight, stackedWeight, weight, type WeightSpec } from "./block.ts";
export { blockByName, type BlockTable, blocks } from "./blocks/index.ts";
export { defineHir, type HirBuilder, hirBuilder, type HirOps, HirValue } from "./builder.ts";
export { lowerHir, lowerHirWork } from "./lower.ts";
export * from "./module.ts";
export { printHir } from "./print.ts";
