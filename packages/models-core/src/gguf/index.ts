export { type GgufArray, GgufMetadata, type GgufType, type GgufValue, type NumberArray } from "./metadata.ts";
export { GgufCheckpoint, openGguf } from "./reader.ts";
export { openGgufIn } from "./split.ts";
export { type GgufTensorInput, writeGguf } from "./writer.ts";
