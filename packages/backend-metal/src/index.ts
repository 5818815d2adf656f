export * from "./expr.ts";
export * from "./launch.ts";
