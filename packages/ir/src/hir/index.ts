export { type AnyBlockDef, type BlockDef, defineBlock, optionalWeight, stackedWeight, type WeightSpec, weight } from "./block.ts";
export { type BlockTable, blockByName, blocks } from "./blocks/index.ts";
export { defineHir, type HirBuilder, type HirOps, HirValue, hirBuilder } from "./builder.ts";
export { lowerHir, lowerHirWork } from "./lower.ts";
export * from "./module.ts";
export { printHir } from "./print.ts";
