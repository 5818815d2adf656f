import { describe, expect, it } from "vitest";
import { openSafetensorsDirectory, readHfConfig, readJsonFile } from "../src/index.ts";
import { openDirectory } from "../src/node/index.ts";
import { goldenModels, path } from "./fixtures.ts";

describe("golden models", () => {
  it.each(goldenModels)("%s opens", async (name) => {
    const dir = await openDirectory(path(`hf-models/${name}`));
    using c = await openSafetensorsDirectory(dir);
    const first = c.names()[0] ?? "";
    const t = await c.tensor(first);
    expect(t.dtype).toBe("f32");
    expect(c.unused()).toHaveLength(c.names().length - 1);
    const config = readHfConfig((await readJsonFile(dir, "config.json")) ?? {}, await readJsonFile(dir, "generation_config.json"));
    expect(config.hiddenSize).toBe(64);
  });
});
